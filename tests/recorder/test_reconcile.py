"""A run that nobody will end is ended by the next recorder; one that goes on is left alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest
from batches import BEGIN, RUN, RUN_DAY, Feed, open_streams, stored
from sqlalchemy import select

from streamlab_plugin import config
from streamlab_plugin.recorder import reconcile
from streamlab_plugin.store import run_writer, tables
from streamlab_plugin.store.engine import open_store
from streamlab_plugin.store.writer import Writer

QUIET_S = 60.0


@pytest.fixture
def writer(database_url: str) -> Iterator[Writer]:
    """Return a writer that knows a run with the packaged settings and two workers."""
    with closing(Writer(open_store(database_url, read_only=False))) as one:
        values = {
            "run": RUN, "name": "test", "run_day": RUN_DAY, "started_at": float(BEGIN), "key_id": "k",
            "host": "http://t", "locustfile": "t.py", "expected_workers": 2, "versions": "{}",
        }  # fmt: skip
        run_writer.open_run(one.connection, values, "own", config.load(environment={}).body().decode())
        for process in ("p-1", "p-2"):
            run_writer.open_process(one.connection, RUN, process, "worker", 1, float(BEGIN))
        yield one


def run_state(writer: Writer) -> tuple[str, float | None]:
    """Return state and end of the run."""
    with writer.connection.begin():
        row = writer.connection.execute(
            select(tables.runs.c.state, tables.runs.c.stopped_at).where(tables.runs.c.run == RUN)
        ).one()
    return row[0], row[1]


class TestAbandoned:
    """`abandoned`."""

    def test_a_run_of_which_nothing_was_heard(self, writer: Writer) -> None:
        """Since its last frame, by whichever of its processes."""
        writer.write([Feed("p-1").write(seen_at=BEGIN + 10.0), Feed("p-2").write(seen_at=BEGIN + 30.0)])
        found = reconcile.abandoned(writer.connection, BEGIN + 91.0, QUIET_S, set())
        assert [(RUN, BEGIN + 30.0)] == [(one.run, one.seen_at) for one in found]

    def test_a_fresh_run_a_served_run_and_an_ended_run_are_left_alone(self, writer: Writer) -> None:
        """Whatever their processes did."""
        writer.write([Feed("p-1").write(seen_at=BEGIN + 30.0)])
        assert [] == reconcile.abandoned(writer.connection, BEGIN + 89.0, QUIET_S, set())
        assert [] == reconcile.abandoned(writer.connection, BEGIN + 999.0, QUIET_S, {RUN})
        key = run_writer.run_key(writer.connection, RUN)
        assert key is not None
        run_writer.finish_run(writer.connection, key, state="completed", stopped_at=BEGIN + 40.0)
        assert [] == reconcile.abandoned(writer.connection, BEGIN + 999.0, QUIET_S, set())

    def test_a_run_without_a_process_counts_from_its_start(self, writer: Writer, database_url: str) -> None:
        """Its owner died at once."""
        open_streams(database_url, run="run-2")
        found = reconcile.abandoned(writer.connection, BEGIN + 61.0, QUIET_S, set())
        assert {RUN, "run-2"} == {one.run for one in found}


class TestSettle:
    """`settle`."""

    def settle(self, writer: Writer) -> dict[str, object]:
        """End the only abandoned run."""
        (run,) = reconcile.abandoned(writer.connection, BEGIN + 999.0, QUIET_S, set())
        return reconcile.settle(writer.connection, run)

    def test_a_run_that_had_not_stopped_is_aborted(self, writer: Writer, database_url: str) -> None:
        """At the moment of its last news; its open streams are lost since their own."""
        writer.write([Feed("p-1").batch(9, seen_at=BEGIN + 30.0)])
        assert {"run": RUN, "state": "aborted", "verdict": None} == self.settle(writer)
        assert ("aborted", BEGIN + 30.0) == run_state(writer)
        assert {"lost"} == {ledger["state"] for ledger in stored(database_url).ledgers.values()}
        assert 9 == len(stored(database_url).records)

    def test_a_run_that_had_stopped_gets_its_verdict(self, writer: Writer) -> None:
        """With the problem that it came late."""
        feeds = [Feed("p-1"), Feed("p-2")]
        writer.write([feed.batch(60) for feed in feeds])
        writer.write([feed.write(closed_at=BEGIN + 40.0) for feed in feeds])
        run_writer.stop_run(writer.connection, RUN, BEGIN + 40.0, 2)
        settled = self.settle(writer)
        assert ("degraded", BEGIN + 40.0) == run_state(writer)
        assert "inconclusive" == settled["verdict"]
        with writer.connection.begin():
            body = writer.connection.scalar(select(tables.verdicts.c.body))
        assert "finished later" in str(body)

    def test_a_second_time_nothing_is_left_to_do(self, writer: Writer) -> None:
        """It is ended."""
        self.settle(writer)
        assert [] == reconcile.abandoned(writer.connection, BEGIN + 999.0, QUIET_S, set())
