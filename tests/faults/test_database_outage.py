"""PostgreSQL is stopped, hangs or is far away: the load goes on, and everything is stored in the end."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from fault_checks import CalmRate, assert_nothing_happened, assert_same_rate
from fault_run import QUICK_RATE, RATE, FaultRun, wait_until
from postgres import PostgresServer
from proxy import Proxy

from streamlab_plugin.store.engine import open_store
from streamlab_plugin.store.migrate import migrate
from streamlab_plugin.store.spool_status import spool_path

OUTAGES = ("stopped", "frozen")
OUTAGE_S = 60.0
QUICK_OUTAGE_S = 5.0
# Before and after the outage.
LEAD_S = 1.0
DRAINED_S = 30.0
STALL_P99_MS = 20.0


@contextlib.contextmanager
def outage(server: PostgresServer, kind: str) -> Iterator[None]:
    """Take the server away and bring it back."""
    if kind == "stopped":
        server.stop("immediate")
        try:
            yield
        finally:
            server.start()
    else:
        server.freeze()
        try:
            yield
        finally:
            server.thaw()


def stall_p99_ms(run: FaultRun) -> float:
    """Return the 99th percentile of how late the event loop was, of the worst process."""
    found = [json.loads(path.read_text()) for path in run.folder.glob("stall-*.json")]
    print(f"event loop late: {found}")
    return float(max(one["p99_ms"] for one in found))


def interrupt_and_compare(
    folder: Path, server: PostgresServer, kind: str, rate: int, outage_s: float, after_s: float
) -> FaultRun:
    """Take the database away in mid-run; return the run, whose rows are what the target saw."""
    url = server.create_database()
    with FaultRun(folder, url, rate=rate, seconds=LEAD_S + outage_s + after_s) as run:
        run.wait_running(seconds=LEAD_S)
        spool = spool_path(url, run.place.environment())
        with outage(server, kind):
            began = time.monotonic()
            wait_until(spool.exists, "batches go to the spool", timeout_s=10)
            time.sleep(max(0.0, began + outage_s - time.monotonic()))
        back_at = time.monotonic()
        wait_until(lambda: not spool.exists(), "the spool is empty", DRAINED_S)
        print(f"{kind}: drained {time.monotonic() - back_at:.1f} s after return")
        assert 0 == run.finish()
        assert_nothing_happened(run)
    return run


@pytest.mark.parametrize(
    "kind", [OUTAGES[0], *(pytest.param(one, marks=pytest.mark.faults) for one in OUTAGES[1:])]
)
def test_a_short_outage(tmp_path: Path, server: PostgresServer, kind: str) -> None:
    """Stopped, or frozen in the middle of whatever it was doing."""
    interrupt_and_compare(tmp_path / "run", server, kind, QUICK_RATE, QUICK_OUTAGE_S, after_s=2)


@pytest.mark.faults
@pytest.mark.parametrize("kind", OUTAGES)
def test_a_minute_under_full_load(
    tmp_path: Path, server: PostgresServer, calm_rate: CalmRate, kind: str
) -> None:
    """The load does not notice it."""
    run = interrupt_and_compare(tmp_path / "run", server, kind, RATE, OUTAGE_S, after_s=15)
    assert stall_p99_ms(run) <= STALL_P99_MS
    assert_same_rate(run.seen().rate(), calm_rate(RATE, 10.0))


def run_at_a_distance(
    folder: Path, server: PostgresServer, rate: int, seconds: float, round_trip_s: float
) -> FaultRun:
    """Run with a database that is that far away; its tables are made from near, statement by statement."""
    near = server.create_database()
    migrate(open_store(near, read_only=False))
    with Proxy(server.port, delay_s=round_trip_s / 2) as proxy:
        url = near.replace(f":{server.port}/", f":{proxy.port}/")
        with FaultRun(folder, url, rate=rate, seconds=seconds) as run:
            assert 0 == run.finish()
            proxy.delay_s = 0.0
            assert_nothing_happened(run)
    return run


@pytest.mark.faults
def test_a_distant_database(tmp_path: Path, server: PostgresServer) -> None:
    """30 ms for each round trip, during the whole run."""
    run_at_a_distance(tmp_path / "run", server, QUICK_RATE, 4.0, round_trip_s=0.03)


@pytest.mark.faults
def test_a_distant_database_under_full_load(
    tmp_path: Path, server: PostgresServer, calm_rate: CalmRate
) -> None:
    """200 ms for each round trip: the load does not notice it."""
    run = run_at_a_distance(tmp_path / "run", server, RATE, 60.0, round_trip_s=0.2)
    assert stall_p99_ms(run) <= STALL_P99_MS
    assert_same_rate(run.seen().rate(), calm_rate(RATE, 10.0))
