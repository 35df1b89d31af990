"""Locust is killed in mid-run: what it had fired until just before is stored, without a gap."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from fault_run import QUICK_RATE, QUICK_SLACK_S, RATE, FaultRun, moments
from fault_stored import integrity

REPETITIONS = 20
# The link sends every 20 ms; what had not been sent dies with the process.
LOSS_S = 0.05


def kill_and_compare(folder: Path, url: str, rate: int, loss_s: float = LOSS_S) -> None:
    """Kill Locust at a random moment and compare what is stored with what the target saw."""
    chance = moments(f"kill of Locust at {rate}/s")
    with FaultRun(folder, url, rate=rate, seconds=60) as run:
        run.wait_running(seconds=1)
        time.sleep(chance.uniform(0, 1))
        killed_at = run.kill(run.locust.process.pid)
        assert -9 == run.finish()
        seen, stored = run.seen(), run.stored()
        lost = stored.lost(seen)
        earliest_ms = max((killed_at - at for at in lost.values()), default=0) * 1000
        print(f"{len(seen)} seen, {len(lost)} lost, the earliest {earliest_ms:.1f} ms before the kill")
        assert {} == {name: at for name, at in lost.items() if at < killed_at - loss_s}
        assert (0, 0) == (stored.twice(), stored.ghosts(seen))
        assert [False] == [one.has_gap for one in stored.processes]
        assert 0 == stored.missing()
        assert ("aborted", ["lost"]) == (stored.state, [one.state for one in stored.processes])
        assert "ok" == integrity(url)


def test_only_the_last_moment_is_missing(tmp_path: Path) -> None:
    """One kill under moderate load."""
    url = f"sqlite:///{tmp_path / 'streamlab.db'}"
    kill_and_compare(tmp_path / "run", url, QUICK_RATE, LOSS_S + QUICK_SLACK_S)


@pytest.mark.faults
@pytest.mark.parametrize("repetition", range(REPETITIONS))
def test_nothing_older_than_50_ms_is_missing_again_and_again(
    tmp_path: Path, database_url: str, repetition: int
) -> None:
    """Under full load."""
    kill_and_compare(tmp_path / "run", database_url, RATE)
