"""What the fault tests share: how long and how hard, and the rate of a run in which nothing happens."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from fault_checks import CalmRate
from fault_run import FaultRun
from postgres import PostgresServer


@pytest.fixture(scope="session")
def calm_rate(tmp_path_factory: pytest.TempPathFactory) -> CalmRate:
    """Return the rate that the target sees in a run without any fault, by asked rate and length."""
    measured: dict[tuple[int, float], float] = {}

    def measure(rate: int, seconds: float) -> float:
        if (rate, seconds) not in measured:
            folder: Path = tmp_path_factory.mktemp("calm")
            with FaultRun(folder, f"sqlite:///{folder / 'streamlab.db'}", rate=rate, seconds=seconds) as run:
                assert 0 == run.finish(), run.summary()
                measured[rate, seconds] = run.seen().rate()
            print(f"calm rate at {rate}/s over {seconds:g} s: {measured[rate, seconds]:.0f}/s")
        return measured[rate, seconds]

    return measure


@pytest.fixture
def server() -> Iterator[PostgresServer]:
    """A server of the test's own, which it may stop."""
    with PostgresServer() as server:
        yield server
