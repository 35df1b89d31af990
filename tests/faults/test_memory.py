"""Through a long outage, and through a long calm, no process grows, and the accounts stay exact."""

from __future__ import annotations

import csv
import os
import time
from pathlib import Path

import pytest
from fault_memory import Watcher, second_half_mb, slope
from fault_run import FaultRun
from fault_stored import Stored
from postgres import PostgresServer

LEAD_S = 4.0
OUTAGE_S = 120.0
QUICK_OUTAGE_S = 3.0
OUTAGE_RATE = 10_000
QUICK_OUTAGE_RATE = 2_000
GROWTH_MB = 160.0
# The writer remembers two minutes of rollups: before, memory has to grow.
WARM_UP_S = 180.0
SOAK_S = float(os.environ.get("STREAMLAB_FAULT_SOAK_S", "120"))
SLOPE_MB_PER_HOUR = 5.0


def run_through_outage(
    folder: Path, server: PostgresServer, rate: int, outage_s: float, after_s: float, spool_mb: int = 1_000
) -> Stored:
    """Stop the database in mid-run; return what is stored of the events, whose number is known."""
    variables = {"FAULT_USERS": "bare", "STREAMLAB_SPOOL_MB": str(spool_mb)}
    url = server.create_database()
    seconds = LEAD_S + outage_s + after_s
    with FaultRun(folder, url, rate=rate, seconds=seconds, variables=variables) as run:
        run.wait_recording()
        with Watcher(run.locust.process.pid) as locust, Watcher(run.recorders()[0].pid) as recorder:
            time.sleep(LEAD_S / 2)
            began = time.time()
            server.stop("immediate")
            time.sleep(outage_s)
            server.start()
            assert 0 == run.finish()
        stored = run.stored()
        grown = {name: one.growth_mb(began) for name, one in (("locust", locust), ("recorder", recorder))}
        fired = int((folder / f"fired-{run.locust.process.pid}.txt").read_text())
        print(f"{fired} fired; {stored.ledger.text()}; grown by MB: {grown}")
        assert {} == {name: mb for name, mb in grown.items() if mb > GROWTH_MB}
        assert fired == stored.ledger.produced == stored.rolled_up
        assert (0, True) == (stored.missing(), stored.ledger.is_balanced)
        assert "completed" == stored.state
    return stored


@pytest.mark.faults
def test_a_short_outage(tmp_path: Path, server: PostgresServer) -> None:
    """Some seconds."""
    stored = run_through_outage(tmp_path / "run", server, QUICK_OUTAGE_RATE, QUICK_OUTAGE_S, after_s=2)
    assert {} == stored.dropped()


@pytest.mark.faults
def test_two_minutes_of_outage(tmp_path: Path, server: PostgresServer) -> None:
    """The spool takes all of it."""
    stored = run_through_outage(tmp_path / "run", server, OUTAGE_RATE, OUTAGE_S, after_s=20)
    assert {} == stored.dropped()


@pytest.mark.faults
def test_two_minutes_of_outage_with_a_small_spool(tmp_path: Path, server: PostgresServer) -> None:
    """Raw records had to go and are counted; the rollups know all of them."""
    stored = run_through_outage(tmp_path / "run", server, OUTAGE_RATE, OUTAGE_S, after_s=20, spool_mb=5)
    assert ["spool_full"] == list(stored.dropped())


@pytest.mark.faults
def test_calm(tmp_path: Path) -> None:
    """Three minutes (``STREAMLAB_FAULT_SOAK_S`` makes it more): memory, descriptors and greenlets stay."""
    folder = tmp_path / "run"
    url = f"sqlite:///{tmp_path / 'streamlab.db'}"
    with FaultRun(
        folder, url, rate=1_000, seconds=WARM_UP_S + SOAK_S, variables={"FAULT_GREENLETS": "1"}
    ) as run:
        run.wait_recording()
        with Watcher(run.locust.process.pid) as locust, Watcher(run.recorders()[0].pid) as recorder:
            began = time.time()
            assert 0 == run.finish()
        since, until = began + WARM_UP_S, began + WARM_UP_S + SOAK_S - 5
        with (folder / f"memory-{run.locust.process.pid}.csv").open() as file:
            greenlets = {int(row[3]) for row in csv.reader(file) if since <= float(row[0]) <= until}
    for name, watcher in (("locust", locust), ("recorder", recorder)):
        samples = watcher.between(since, until)
        found, halves = slope(samples), second_half_mb(samples)
        descriptors = {one.descriptors for one in samples}
        print(f"{name}: {found.mb_per_hour:.1f} ± {found.margin:.1f} MB/h, halves {halves:+.2f} MB")
        assert found.mb_per_hour - found.margin <= SLOPE_MB_PER_HOUR
        assert halves <= 1.0
        assert max(descriptors) - min(descriptors) <= 1
    assert max(greenlets) - min(greenlets) <= 1, greenlets
