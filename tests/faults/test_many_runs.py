"""Many short distributed runs: each is stored as a whole, and judged only after its last stream has ended."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from fault_run import QUICK_RATE, FaultRun

WORKERS = 4
RUNS = 100
SECONDS = 5.0
QUICK_SECONDS = 3.0


def run_and_compare(folder: Path, seconds: float) -> None:
    """Run once, with tasks that raise now and then."""
    folder.mkdir()
    url = f"sqlite:///{folder / 'streamlab.db'}"
    variables = {"FAULT_TASK_ERRORS": "1"}
    with FaultRun(folder, url, workers=WORKERS, rate=QUICK_RATE, seconds=seconds, variables=variables) as run:
        code = run.finish()
        seen, stored = run.seen(), run.stored()
        assert int("fails on purpose" in run.output()) == code, "Locust's own code for exceptions in tasks"
        assert {} == stored.lost(seen)
        assert (0, 0) == (stored.twice(), stored.ghosts(seen))
        assert (0, {}) == (stored.missing(), dict(stored.dropped()))
        assert WORKERS == sum(one.role == "worker" for one in stored.processes)
        assert {"closed"} == {one.state for one in stored.processes}
        assert stored.decided_at is not None
        assert stored.decided_at >= max(one.closed_at or 0.0 for one in stored.processes)
        assert "completed" == stored.state


def run_many(folder: Path, runs: int, at_once: int, seconds: float) -> None:
    """Run again and again, some side by side: a busy machine makes it harder."""
    with ThreadPoolExecutor(at_once) as pool:
        futures = [pool.submit(run_and_compare, folder / str(number), seconds) for number in range(runs)]
        assert [None] * runs == [future.result() for future in futures]


def test_two_runs(tmp_path: Path) -> None:
    """At once, each in a place of its own."""
    run_many(tmp_path, 2, at_once=2, seconds=QUICK_SECONDS)


@pytest.mark.faults
def test_a_hundred_runs(tmp_path: Path) -> None:
    """Three at a time."""
    run_many(tmp_path, RUNS, at_once=3, seconds=SECONDS)
