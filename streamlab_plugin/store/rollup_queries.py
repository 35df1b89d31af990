"""Counts and latencies of a run, from rollups alone.

Every statement names processes, one period and a range of starts: the beginning of the primary key. Series
are looked up by key afterwards instead of joined, so that no planner is tempted to begin with them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import Connection, Select, select

from streamlab_plugin.detect.sketch import Pool
from streamlab_plugin.store import tables
from streamlab_plugin.store.run_queries import process_ids

# Their durations are no answer of the system under test to a request; they count, but in no percentile.
WITHOUT_LATENCY = frozenset({"connect", "close", "push", "subscribe"})

WHOLE_RUN_PERIOD_S = 3600

_Column = tables.rollups.c
# A row is a tuple, whose own `count` is a method: hence the other name.
_COLUMNS = (
    _Column.start,
    _Column.series_id,
    _Column["count"].label("requests"),
    _Column.errors,
    _Column.timeouts,
    _Column.interrupted,
    _Column.answered,
    _Column.latency_count,
    _Column.latency_sum,
    _Column.latency_min,
    _Column.latency_max,
    _Column.size_sum,
    _Column.sketch,
)


class SeriesKey(NamedTuple):
    """What a series is about, over all user classes."""

    protocol: str
    operation: str
    endpoint: str
    direction: str


@dataclass(frozen=True, slots=True)
class Totals:
    """Summed rollups; latencies in milliseconds, None without samples."""

    count: int = 0
    errors: int = 0
    timeouts: int = 0
    interrupted: int = 0
    answered: int = 0
    latency_samples: int = 0
    min_ms: float | None = None
    mean_ms: float | None = None
    max_ms: float | None = None
    p50_ms: float | None = None
    p95_ms: float | None = None
    p99_ms: float | None = None
    size_bytes: int = 0

    @property
    def judged(self) -> int:
        """Requests that came to an end by themselves: all but the interrupted ones."""
        return self.count - self.interrupted

    @property
    def error_rate(self) -> float | None:
        """Errors and timeouts among the judged requests (0..1), None without any."""
        return self.errors / self.judged if self.judged else None


class Tally:
    """Add up rollup rows and pool their sketches."""

    __slots__ = ("_counts", "_latency_count", "_latency_sum", "_max", "_min", "_pool", "_size")

    def __init__(self) -> None:
        self._counts = [0, 0, 0, 0, 0]
        self._latency_count = 0
        self._latency_sum = 0.0
        self._min: float | None = None
        self._max: float | None = None
        self._size = 0
        self._pool = Pool()

    def add(self, row: Any, *, with_latency: bool) -> None:
        """Add one row of `rollup_rows`; its latencies only if *with_latency*."""
        # Unpacked at once: looking each column up by name costs more than all the rest.
        _, _, requests, errors, timeouts, interrupted, answered, samples, total, least, most, size, sketch = (
            row
        )
        counts = self._counts
        counts[0] += requests
        counts[1] += errors
        counts[2] += timeouts
        counts[3] += interrupted
        counts[4] += answered
        self._size += size
        if not with_latency or not samples:
            return
        self._latency_count += samples
        self._latency_sum += total
        if least is not None:
            self._min = least if self._min is None else min(self._min, least)
        if most is not None:
            self._max = most if self._max is None else max(self._max, most)
        if sketch:
            self._pool.add(sketch)

    def include(self, other: Tally) -> None:
        """Add everything that *other* has added up."""
        self._counts = [own + more for own, more in zip(self._counts, other._counts, strict=True)]
        self._size += other._size
        self._latency_count += other._latency_count
        self._latency_sum += other._latency_sum
        self._min = min((value for value in (self._min, other._min) if value is not None), default=None)
        self._max = max((value for value in (self._max, other._max) if value is not None), default=None)
        self._pool.include(other._pool)

    def totals(self) -> Totals:
        """Return what was added so far."""
        samples = self._latency_count
        count, errors, timeouts, interrupted, answered = self._counts
        p50_ms, p95_ms, p99_ms = self._pool.percentiles(50, 95, 99)
        return Totals(
            count=count,
            errors=errors,
            timeouts=timeouts,
            interrupted=interrupted,
            answered=answered,
            latency_samples=samples,
            min_ms=self._min,
            mean_ms=self._latency_sum / samples if samples else None,
            max_ms=self._max,
            p50_ms=p50_ms,
            p95_ms=p95_ms,
            p99_ms=p99_ms,
            size_bytes=self._size,
        )


def run_protocol_totals(conn: Connection, run_id: int) -> dict[str, Totals]:
    """Return the whole run's totals by protocol; percentiles leave `WITHOUT_LATENCY` out."""
    return by_protocol(conn, rollup_rows(conn, process_ids(conn, run_id), WHOLE_RUN_PERIOD_S))[0]


def run_totals(conn: Connection, run_id: int) -> tuple[dict[str, Totals], Totals]:
    """Return the whole run's totals by protocol, and over all protocols."""
    return by_protocol(conn, rollup_rows(conn, process_ids(conn, run_id), WHOLE_RUN_PERIOD_S))


def run_endpoints(conn: Connection, run_id: int) -> list[tuple[SeriesKey, Totals]]:
    """Return the whole run's totals per endpoint and operation, each with its own latencies."""
    rows = rollup_rows(conn, process_ids(conn, run_id), WHOLE_RUN_PERIOD_S)
    series = series_keys(conn, {row.series_id for row in rows})
    tallies: dict[SeriesKey, Tally] = {}
    for row in rows:
        tallies.setdefault(series[row.series_id], Tally()).add(row, with_latency=True)
    return [(key, tallies[key].totals()) for key in sorted(tallies)]


def by_protocol(conn: Connection, rows: Sequence[Any]) -> tuple[dict[str, Totals], Totals]:
    """Return the totals of rollup *rows* by protocol, and over all of them."""
    series = series_keys(conn, {row.series_id for row in rows})
    tallies: dict[str, Tally] = {}
    for row in rows:
        key = series[row.series_id]
        with_latency = key.operation not in WITHOUT_LATENCY
        tallies.setdefault(key.protocol, Tally()).add(row, with_latency=with_latency)
    everything = Tally()
    for tally in tallies.values():
        everything.include(tally)
    return {name: tallies[name].totals() for name in sorted(tallies)}, everything.totals()


def rollup_rows(
    conn: Connection,
    processes: Sequence[int],
    period_s: int,
    since: int | None = None,
    until: int | None = None,
) -> Sequence[Any]:
    """Return the rollup rows of *processes* at one period, with *since* ≤ start < *until* if given.

    Columns as in the table, except that ``count`` is called ``requests``.
    """
    return conn.execute(within(select(*_COLUMNS), processes, period_s, since, until)).all()


def series_keys(conn: Connection, ids: Iterable[int]) -> dict[int, SeriesKey]:
    """Return what the series with these integer keys are about."""
    series = tables.series.c
    found: dict[int, SeriesKey] = {}
    for chunk in _chunks(sorted(ids)):
        for row in conn.execute(
            select(series.id, series.protocol, series.operation, series.endpoint, series.direction).where(
                series.id.in_(chunk)
            )
        ):
            found[row.id] = SeriesKey(row.protocol, row.operation, row.endpoint, row.direction)
    return found


def within(
    statement: Select[Any], processes: Sequence[int], period_s: int, since: int | None, until: int | None
) -> Select[Any]:
    """Bind *statement* on ``rollups`` to the beginning of the primary key."""
    statement = statement.where(_Column.process_id.in_(processes), _Column.period_s == period_s)
    if since is not None:
        statement = statement.where(_Column.start >= since)
    if until is not None:
        statement = statement.where(_Column.start < until)
    return statement


def _chunks(ids: Sequence[int], size: int = 500) -> Iterator[Sequence[int]]:
    # Older SQLite takes at most 999 parameters in one statement.
    for at in range(0, len(ids), size):
        yield ids[at : at + size]
