"""A worker or the master is killed: the others lose nothing, and the run says what was missing and when."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from fault_run import QUICK_RATE, QUICK_SLACK_S, RATE, FaultRun, moments, wait_until
from fault_stored import Stored
from postgres import PostgresServer

WORKERS = 4
LOSS_S = 0.05
TRUTH_S = 1.0
REPETITIONS = 20


def only(stored: Stored, pid: int) -> str:
    """Return the state of one process."""
    (state,) = [one.state for one in stored.processes if one.pid == pid]
    return state


def kill_a_worker(folder: Path, url: str, rate: int, seconds: float, slack_s: float = 0.0) -> None:
    """Kill one of the workers at a random moment."""
    chance = moments(f"kill of a worker at {rate}/s")
    with FaultRun(folder, url, workers=WORKERS, rate=rate, seconds=seconds) as run:
        run.wait_running(seconds=1)
        time.sleep(chance.uniform(0.5, seconds / 3))
        pids = run.worker_pids()
        assert WORKERS == len(pids)
        victim = chance.choice(pids)
        killed_at = run.kill(victim)
        print(f"Locust's exit code: {run.finish()}")
        seen, stored = run.seen(), run.stored()
        others = [pid for pid in pids if pid != victim]
        assert {} == stored.lost(seen.of(*others))
        last_s = killed_at - LOSS_S - slack_s
        assert {} == {name: at for name, at in stored.lost(seen.of(victim)).items() if at < last_s}
        assert (0, 0) == (stored.twice(), stored.ghosts(seen))
        assert (0, {}) == (stored.missing(), dict(stored.dropped()))
        assert ["lost"] + ["closed"] * 3 == [only(stored, pid) for pid in (victim, *others)]
        assert "degraded" == stored.state
        (window,) = stored.degradations
        assert stored.stopped_at is not None
        since_s, until_s = window["since"] - killed_at, window["until"] - stored.stopped_at
        print(f"the window: since {since_s:+.2f} s, until {until_s:+.2f} s of the truth")
        assert abs(since_s) <= TRUTH_S + slack_s
        assert abs(until_s) <= TRUTH_S + slack_s
        assert window["users"] in (12, 13)


def kill_the_master(folder: Path, url: str, rate: int) -> None:
    """Kill the master at a random moment, then end its workers as an operator would."""
    chance = moments(f"kill of the master at {rate}/s")
    with FaultRun(folder, url, workers=WORKERS, layout="apart", rate=rate, seconds=60) as run:
        run.wait_running(seconds=1)
        time.sleep(chance.uniform(0.2, 1))
        run.kill(run.locust.process.pid)
        time.sleep(chance.uniform(0.2, 1))
        for worker in run.apart:
            worker.process.terminate()
        assert -9 == run.finish()
        seen, stored = run.seen(), run.stored()
        assert {} == stored.lost(seen)
        assert (0, 0) == (stored.twice(), stored.ghosts(seen))
        assert (0, {}) == (stored.missing(), dict(stored.dropped()))
        assert ["closed"] * WORKERS == [only(stored, pid) for pid in run.worker_pids()]
        if "aborted" != stored.state:
            answer = run.streamlab("runs", "reconcile", "--quiet-s", "1")
            assert 0 == answer.returncode, answer.stdout
            wait_until(lambda: "aborted" == run.stored().state, "the run is aborted", 10)


def test_a_killed_worker(tmp_path: Path) -> None:
    """One kill under moderate load."""
    kill_a_worker(tmp_path / "run", f"sqlite:///{tmp_path / 'streamlab.db'}", QUICK_RATE, 5.0, QUICK_SLACK_S)


def test_a_killed_master(tmp_path: Path, server: PostgresServer) -> None:
    """One kill under moderate load."""
    kill_the_master(tmp_path / "run", server.create_database(), QUICK_RATE)


@pytest.fixture
def either_url(request: pytest.FixtureRequest, tmp_path: Path, repetition: int) -> str:
    """A database on one engine and the other in turn."""
    if repetition % 2:
        server: PostgresServer = request.getfixturevalue("postgres")
        return server.create_database()
    return f"sqlite:///{tmp_path / 'streamlab.db'}"


@pytest.mark.faults
@pytest.mark.parametrize("repetition", range(REPETITIONS))
class TestAgainAndAgain:
    """Under full load."""

    def test_a_killed_worker(self, tmp_path: Path, either_url: str) -> None:
        """The others lose nothing."""
        kill_a_worker(tmp_path / "run", either_url, RATE, 10.0)

    def test_a_killed_master(self, tmp_path: Path, either_url: str) -> None:
        """The workers lose nothing."""
        kill_the_master(tmp_path / "run", either_url, RATE)
