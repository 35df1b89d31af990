"""The recorder is killed in mid-run: another one takes over, nothing is lost, the load does not notice."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from fault_checks import CalmRate, assert_nothing_happened, assert_same_rate
from fault_run import QUICK_RATE, RATE, FaultRun, moments
from postgres import PostgresServer

REPETITIONS = 20
SECONDS = 10.0
QUICK_SECONDS = 4.0


def kill_and_compare(folder: Path, url: str, rate: int, seconds: float, kills: int = 1) -> float:
    """Kill the recorder at random moments, compare, and return the rate that the target saw."""
    chance = moments(f"{kills} kill(s) of the recorder at {rate}/s")
    with FaultRun(folder, url, rate=rate, seconds=seconds) as run:
        run.wait_running(seconds=0.5)
        for _ in range(kills):
            time.sleep(chance.uniform(0.1, (seconds - 2.5) / kills))
            run.kill_recorder()
        assert 0 == run.finish()
        assert_nothing_happened(run)
        return run.seen().rate()


def kill_in_outage(folder: Path, server: PostgresServer, rate: int, seconds: float) -> float:
    """Stop the database, kill the recorder, start the database; return the rate that the target saw."""
    chance = moments(f"kill of the recorder in an outage at {rate}/s")
    with FaultRun(folder, server.create_database(), rate=rate, seconds=seconds) as run:
        run.wait_running(seconds=0.5)
        server.stop("immediate")
        time.sleep(chance.uniform(0.2, seconds / 5))
        run.kill_recorder()
        time.sleep(chance.uniform(1, seconds / 4))
        server.start()
        assert 0 == run.finish()
        assert_nothing_happened(run)
        return run.seen().rate()


def test_nothing_is_lost(tmp_path: Path, server: PostgresServer) -> None:
    """One kill under moderate load."""
    kill_and_compare(tmp_path / "run", server.create_database(), QUICK_RATE, QUICK_SECONDS)


@pytest.mark.faults
class TestAgainAndAgain:
    """Under full load."""

    @pytest.mark.parametrize("repetition", range(REPETITIONS))
    def test_nothing_is_lost(
        self, tmp_path: Path, database_url: str, calm_rate: CalmRate, repetition: int
    ) -> None:
        """One kill."""
        rate = kill_and_compare(tmp_path / "run", database_url, RATE, SECONDS)
        assert_same_rate(rate, calm_rate(RATE, SECONDS))

    @pytest.mark.parametrize("repetition", range(5))
    def test_two_kills(self, tmp_path: Path, database_url: str, calm_rate: CalmRate, repetition: int) -> None:
        """The second recorder is killed as well."""
        rate = kill_and_compare(tmp_path / "run", database_url, RATE, SECONDS, kills=2)
        assert_same_rate(rate, calm_rate(RATE, SECONDS))

    @pytest.mark.parametrize("repetition", range(5))
    def test_during_an_outage(
        self, tmp_path: Path, server: PostgresServer, calm_rate: CalmRate, repetition: int
    ) -> None:
        """The database is away when the recorder dies and when the next one begins."""
        rate = kill_in_outage(tmp_path / "run", server, RATE, 20.0)
        assert_same_rate(rate, calm_rate(RATE, SECONDS))
