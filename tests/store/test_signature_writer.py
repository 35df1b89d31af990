"""A signature counts each finding of each run once, with one set of fixes, whoever saves it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from batches import BEGIN, RUN, Feed, occurrence, open_streams, opened_writer, stored
from sqlalchemy import func, select

from streamlab_plugin.store import run_writer, signature_writer, tables
from streamlab_plugin.store.engine import open_store
from streamlab_plugin.store.finding_queries import OccurrenceCount, occurrences_since
from streamlab_plugin.store.writer import Writer

FIX = {
    "fix_type": "index", "title": "Add an index", "steps": ["Look."], "risk": "low", "confidence": 0.5,
    "priority": 1.0, "status": "suggested",
}  # fmt: skip


def signature(run_id: int, last_seen: float = 2.0, severity: str = "warning") -> dict[str, Any]:
    """Return the values of a signature."""
    return {
        "fingerprint": "f1", "anomaly_type": "slow_http", "protocol": "http", "endpoint": "/a",
        "error_class": "", "rule": "slow", "description": "slow", "severity": severity, "status": "new",
        "first_seen": 1.0, "last_seen": last_seen, "first_run_id": run_id, "last_run_id": run_id,
    }  # fmt: skip


@pytest.fixture
def writer(database_url: str) -> Iterator[Writer]:
    """Return a writer that knows two runs with a process each."""
    open_streams(database_url, "p-2", run="run-2")
    with closing(opened_writer(database_url, "p-1")) as one:
        yield one


def found(count: int, counted: int = 0, process_id: int = 1) -> OccurrenceCount:
    """Return an occurrence as the watch reads it."""
    return OccurrenceCount(
        process_id,
        "f1",
        BEGIN,
        count,
        1.0,
        2.0,
        "slow",
        "slow_http",
        "warning",
        "http",
        "/a",
        "",
        "m",
        counted,
    )


def key(writer: Writer, run: str) -> int:
    """Return the integer key of a run."""
    found = run_writer.run_key(writer.connection, run)
    assert found is not None
    return found


def counts(writer: Writer) -> tuple[int, int, int]:
    """Return how many signatures and fixes there are and what the signatures count."""
    with writer.connection.begin():
        signatures = writer.connection.execute(
            select(func.count(), func.sum(tables.signatures.c.count)).select_from(tables.signatures)
        ).one()
        fixes = writer.connection.scalar(select(func.count()).select_from(tables.fixes))
    return signatures[0], int(fixes or 0), int(signatures[1])


class TestSaveSignature:
    """`save_signature`."""

    def test_it_is_made_once_and_then_added_to(self, writer: Writer) -> None:
        """Also by another run; the fixes stay those of the first time."""
        for run, added in ((RUN, 5), (RUN, 2), ("run-2", 1)):
            signature_writer.save_signature(
                writer.connection, signature(key(writer, run), 9.0, "critical"), [found(added)], [FIX, FIX]
            )
        assert (1, 2, 8) == counts(writer)
        columns = tables.signatures.c
        with writer.connection.begin():
            row = writer.connection.execute(
                select(columns.first_run_id, columns.last_run_id, columns.last_seen, columns.severity)
            ).one()
        assert (key(writer, RUN), key(writer, "run-2"), 9.0, "critical") == tuple(row)

    def test_two_recorders_meet(self, writer: Writer, database_url: str) -> None:
        """One signature, one set of fixes, both counts."""
        barrier = threading.Barrier(2)
        keys = [key(writer, run) for run in (RUN, "run-2")]

        def save(run_id: int) -> None:
            with closing(Writer(open_store(database_url, read_only=False))) as own:
                barrier.wait(10)
                for _ in range(10):
                    signature_writer.save_signature(own.connection, signature(run_id), [found(1)], [FIX])

        threads = [threading.Thread(target=save, args=(run_id,)) for run_id in keys]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert (1, 1, 20) == counts(writer)


class TestCounted:
    """Each occurrence is counted once, also by a recorder that follows another one."""

    def test_what_was_counted_is_noted(self, writer: Writer) -> None:
        """As much as was read; what came since is left for the next time."""
        run = key(writer, RUN)
        feed = Feed("p-1")
        writer.write([feed.batch(9, occurrences=[occurrence(BEGIN, 4), occurrence(BEGIN + 10, 3)])])
        writer.write([Feed("p-2").batch(9, occurrences=[occurrence(BEGIN, 50)])])
        with writer.connection.begin():
            read = occurrences_since(writer.connection, run, BEGIN)
        writer.write([feed.batch(9, occurrences=[occurrence(BEGIN, 2)])])
        signature_writer.save_signature(writer.connection, signature(run), read, [])
        with writer.connection.begin():
            again = occurrences_since(writer.connection, run, BEGIN)
        assert [(6, 4), (3, 3)] == [(row.count, row.counted) for row in again]
        signature_writer.save_signature(writer.connection, signature(run), again, [])
        assert (1, 0, 9) == counts(writer)


class TestSaveOccurrence:
    """`save_occurrence`: cumulative rows of window rules."""

    def test_a_newer_row_takes_the_place_of_the_older(self, writer: Writer, database_url: str) -> None:
        """The count is the whole, not an addition."""
        process = run_writer.process_key(writer.connection, "p-1")
        assert process is not None
        names = tables.occurrences.columns.keys()[1:-1]
        for count in (3, 5):
            values = dict(zip(names, occurrence(BEGIN, count), strict=True))
            with writer.connection.begin():
                signature_writer.save_occurrence(writer.connection, process, values)
        assert [(5, float(BEGIN), BEGIN + 0.5)] == list(stored(database_url).occurrences.values())
