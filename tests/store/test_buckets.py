"""Rollups are cumulative and exact, whatever order the records come in and whoever wrote before."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import numpy as np
import pytest
from batches import BEGIN, Feed, expected, lean, opened_writer, stored
from sqlalchemy import Engine, event

from streamlab_plugin.store.buckets import KEEP_S
from streamlab_plugin.store.engine import open_store
from streamlab_plugin.store.rollup_queries import run_summary
from streamlab_plugin.store.writer import Writer


@pytest.fixture
def writer(database_url: str) -> Iterator[Writer]:
    """Return a writer that knows the process p-1."""
    with closing(opened_writer(database_url, "p-1")) as one:
        yield one


@contextmanager
def reads_of_rollups(engine: Engine) -> Iterator[list[str]]:
    """Collect the SELECT statements on rollups."""
    seen: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        if statement.startswith("SELECT") and "FROM rollups" in statement:
            seen.append(statement)

    event.listen(engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        event.remove(engine, "before_cursor_execute", note)


class TestBuckets:
    """`Buckets`, by way of the writer."""

    @pytest.mark.parametrize("seed", range(4))
    def test_seconds_and_series_in_any_order(self, writer: Writer, database_url: str, seed: int) -> None:
        """Within the last two minutes and long before them; three periods, minimum, maximum, sketch."""
        choice = random.Random(seed)
        feed, writes = Feed(), []
        for _ in range(12):
            numbers = range(feed.seq + 1, feed.seq + 31)
            rows = [
                lean(
                    feed.keys, number, f"/{choice.randrange(4)}", BEGIN + choice.randrange(5000),
                    outcome=choice.choice((0, 0, 1)), latency_ms=0.25 * choice.randrange(1, 9000),
                )
                for number in numbers
            ]  # fmt: skip
            writes.append(feed.write([], rows))
            writer.write(writes[-1:])
        assert expected(writes).rollups == stored(database_url).rollups

    def test_a_late_record_of_a_forgotten_second_is_added(self, writer: Writer, database_url: str) -> None:
        """The row is read back first."""
        feed = Feed()
        times = (BEGIN, BEGIN + 1, BEGIN + KEEP_S + 60, BEGIN, BEGIN + 4000, BEGIN + 1, BEGIN - 3600)
        writes = []
        for number, at in enumerate(times, 1):
            writes.append(feed.write([], [lean(feed.keys, number, at=at)]))
            writer.write(writes[-1:])
        assert expected(writes).rollups == stored(database_url).rollups

    def test_another_writer_goes_on_with_what_is_stored(self, writer: Writer, database_url: str) -> None:
        """In the same second, a later and an earlier one."""
        feed = Feed()
        writes = [feed.write([], [lean(feed.keys, 1, at=BEGIN + 10)])]
        writer.write(writes)
        for number, at in enumerate((BEGIN + 10, BEGIN + 11, BEGIN + 9, BEGIN - 7000), 2):
            writes.append(feed.write([], [lean(feed.keys, number, at=at)]))
            with closing(Writer(open_store(database_url, read_only=False))) as another:
                another.write(writes[-1:])
        assert expected(writes).rollups == stored(database_url).rollups

    def test_a_second_without_latencies_has_none(self, writer: Writer, database_url: str) -> None:
        """Interrupted requests: counted, no minimum, no sketch; latencies that come later are kept."""
        feed = Feed()
        first = feed.write([], [lean(feed.keys, 1)])
        bare = first.deltas[0]._replace(
            interrupted=1, answered=0, latencies_ms=[], latency_sum=0, latency_min=None, latency_max=None
        )
        first.deltas = [bare]
        writer.write([first])
        assert {(1, 0, 0, 1, 0, 0, 0.0, None, None, 10, 0)} == set(stored(database_url).rollups.values())
        second = feed.write([], [lean(feed.keys, 2)])
        writer.write([second])
        assert expected([first, second]).rollups == stored(database_url).rollups

    def test_a_fresh_stream_reads_nothing(self, writer: Writer, database_url: str) -> None:
        """The hot path: what is not in memory cannot be stored; one that is resumed reads once."""
        feed = Feed()
        with reads_of_rollups(writer.connection.engine) as reads:
            for second in range(0, 400, 20):
                writer.write([feed.batch(6, BEGIN + second)])
        assert [] == reads
        with closing(Writer(open_store(database_url, read_only=False))) as another:
            writes = [feed.batch(6, BEGIN + 400), feed.batch(6, BEGIN + 400), feed.batch(6, BEGIN + 401)]
            with reads_of_rollups(another.connection.engine) as reads:
                another.write(writes[:1])
                assert reads
                reads.clear()
                another.write(writes[1:])
            assert [] == reads


class TestResponseTimes:
    """Response times, in a run of which a part was scheduled."""

    def test_they_cover_the_same_requests(self, writer: Writer) -> None:
        """What had no schedule responds in its service time, whether it came before, between or after."""
        feed = Feed()
        for waits in ([0.0] * 50, [1000.0] * 40, [0.0] * 10):
            numbers = range(feed.seq + 1, feed.seq + 1 + len(waits))
            write = feed.write([], [lean(feed.keys, number, latency_ms=5.0) for number in numbers])
            (delta,) = write.deltas
            if any(waits):
                responses = np.asarray([5.0 + wait for wait in waits], dtype=np.float32)
                write.deltas = [delta._replace(responses_ms=responses)]
            writer.write([write])
        with writer.connection.begin():
            totals = run_summary(writer.connection, 1).protocols["http"]
        assert (100, 5.0, 5.0) == (totals.latency_samples, totals.p50_ms, totals.p99_ms)
        assert (5.0, 1005.0) == (totals.response_p50_ms, totals.response_p95_ms)

    def test_none_without_a_schedule(self, writer: Writer) -> None:
        """Then there is one kind of time."""
        writer.write([Feed().batch(9)])
        with writer.connection.begin():
            totals = run_summary(writer.connection, 1).protocols["http"]
        assert (True, None) == (totals.p99_ms is not None, totals.response_p99_ms)
