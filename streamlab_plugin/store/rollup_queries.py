"""Counts and latencies of a run, from rollups alone.

Every statement names processes, one period and a range of starts: the beginning of the primary key. Series
are looked up by key afterwards instead of joined, so that no planner is tempted to begin with them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import Connection, Select, func, select, union_all

from streamlab_plugin.core.record import FAULTED, WITHOUT_LATENCY
from streamlab_plugin.detect.sketch import Pool
from streamlab_plugin.store import tables
from streamlab_plugin.store.run_queries import process_ids

_Column = tables.rollups.c
# A row is a tuple, whose own `count` is a method: hence the other name.
_COUNTS = (
    _Column["count"].label("requests"),
    _Column.errors,
    _Column.timeouts,
    _Column.interrupted,
    _Column.answered,
    _Column.latency_count,
    _Column.latency_sum,
    _Column.size_sum,
)
_EXTREMES = ((func.min, _Column.latency_min), (func.max, _Column.latency_max))


class Piece(NamedTuple):
    """Rollups of one period with *begin* ≤ start < *end*; None: from the first, to the last."""

    period_s: int
    begin: int | None = None
    end: int | None = None


WHOLE_RUN = (Piece(3600),)


class SeriesKey(NamedTuple):
    """What a series is about, over all user classes."""

    protocol: str
    operation: str
    endpoint: str
    direction: str

    @property
    def is_faulted(self) -> bool:
        """Whether an injected fault touched its records."""
        return self.operation.endswith(FAULTED)

    @property
    def has_latency(self) -> bool:
        """Whether its durations are answers of the system under test."""
        return self.operation.removesuffix(FAULTED) not in WITHOUT_LATENCY


@dataclass(frozen=True, slots=True)
class Totals:
    """Summed rollups; latencies in milliseconds, None without samples.

    Latencies are service times. Response times, from the moment that a schedule wanted the request, are None
    where no request had a schedule.
    """

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
    response_p50_ms: float | None = None
    response_p95_ms: float | None = None
    response_p99_ms: float | None = None

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

    __slots__ = (
        "_counts",
        "_is_scheduled",
        "_latency_count",
        "_latency_sum",
        "_max",
        "_min",
        "_pool",
        "_responses",
        "_size",
    )

    def __init__(self) -> None:
        self._counts = [0, 0, 0, 0, 0]
        self._latency_count = 0
        self._latency_sum = 0.0
        self._min: float | None = None
        self._max: float | None = None
        self._size = 0
        self._pool = Pool()
        self._responses = Pool()
        self._is_scheduled = False

    def add(self, row: Any) -> None:
        """Add one row of `Rollups.sums`."""
        counts = (row.requests, row.errors, row.timeouts, row.interrupted, row.answered)
        # PostgreSQL adds up its 64-bit integers to a decimal.
        self._counts = [own + int(more) for own, more in zip(self._counts, counts, strict=True)]
        self._size += int(row.size_sum)
        if not row.latency_count:
            return
        self._latency_count += int(row.latency_count)
        self._latency_sum += row.latency_sum
        self._min = min((value for value in (self._min, row.latency_min) if value is not None), default=None)
        self._max = max((value for value in (self._max, row.latency_max) if value is not None), default=None)

    def add_sketch(self, sketch: bytes) -> None:
        """Add the distribution of latencies that `add` counted."""
        self._pool.add(sketch)

    def add_response(self, sketch: bytes, response: bytes | None) -> None:
        """Add the response times of the same requests; without a schedule they are the service times."""
        self._responses.add(sketch if response is None else response)
        self._is_scheduled |= response is not None

    def include(self, other: Tally, *, with_latency: bool) -> None:
        """Add everything that *other* has added up, its latencies only if *with_latency*."""
        self._counts = [own + more for own, more in zip(self._counts, other._counts, strict=True)]
        self._size += other._size
        if not with_latency:
            return
        self._latency_count += other._latency_count
        self._latency_sum += other._latency_sum
        self._min = min((value for value in (self._min, other._min) if value is not None), default=None)
        self._max = max((value for value in (self._max, other._max) if value is not None), default=None)
        self._pool.include(other._pool)
        self._responses.include(other._responses)
        self._is_scheduled |= other._is_scheduled

    def totals(self) -> Totals:
        """Return what was added so far."""
        samples = self._latency_count
        count, errors, timeouts, interrupted, answered = self._counts
        p50_ms, p95_ms, p99_ms = self._pool.percentiles(50, 95, 99)
        responses = self._responses.percentiles(50, 95, 99) if self._is_scheduled else [None, None, None]
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
            response_p50_ms=responses[0],
            response_p95_ms=responses[1],
            response_p99_ms=responses[2],
        )


class Rollups(NamedTuple):
    """Rollups, summed by series: a row with the columns of the table for each.

    ``sketches`` are (series, sketch, sketch of response times or None).
    """

    series: Mapping[int, SeriesKey]
    sums: Sequence[Any]
    sketches: Sequence[tuple[int, bytes, bytes | None]]

    def without_faulted(self) -> Rollups:
        """Return them without the series that injected faults touched."""
        kept = {series_id: key for series_id, key in self.series.items() if not key.is_faulted}
        return Rollups(
            kept,
            [row for row in self.sums if row.series_id in kept],
            [pair for pair in self.sketches if pair[0] in kept],
        )


class Summary(NamedTuple):
    """Totals per endpoint and operation, each with its own latencies; by protocol; and over all.

    The latter two leave the latencies of `WITHOUT_LATENCY` out.
    """

    endpoints: Sequence[tuple[SeriesKey, Totals]]
    protocols: Mapping[str, Totals]
    everything: Totals


def run_summary(conn: Connection, run_id: int) -> Summary:
    """Return the whole run's totals."""
    return summarise(read_rollups(conn, process_ids(conn, run_id), WHOLE_RUN))


def summarise(found: Rollups) -> Summary:
    """Return the totals of rollups."""
    series: dict[SeriesKey, Tally] = {}
    for row in found.sums:
        series.setdefault(found.series[row.series_id], Tally()).add(row)
    is_scheduled = any(response for _series, _sketch, response in found.sketches)
    for series_id, sketch, response in found.sketches:
        tally = series[found.series[series_id]]
        tally.add_sketch(sketch)
        if is_scheduled:
            tally.add_response(sketch, response)
    # First each series: what its sketches are merged to is what its protocol has to look at.
    endpoints = [(key, series[key].totals()) for key in sorted(series)]
    protocols: dict[str, Tally] = {}
    for key, tally in series.items():
        protocols.setdefault(key.protocol, Tally()).include(tally, with_latency=key.has_latency)
    totals = {name: protocols[name].totals() for name in sorted(protocols)}
    everything = Tally()
    for tally in protocols.values():
        everything.include(tally, with_latency=True)
    return Summary(endpoints, totals, everything.totals())


def read_rollups(conn: Connection, processes: Sequence[int], pieces: Iterable[Piece]) -> Rollups:
    """Return the rollups of *processes* in several *pieces*; each of them is one search by primary key."""
    pieces = tuple(pieces)
    if not pieces:
        return Rollups({}, (), ())
    extremes = [column for _, column in _EXTREMES]
    rows = _union((_Column.series_id, *_COUNTS, *extremes), processes, pieces).subquery().c
    sums = conn.execute(
        select(
            rows.series_id,
            *[func.sum(rows[column.name]).label(column.name) for column in _COUNTS],
            *[pick(rows[column.name]).label(column.name) for pick, column in _EXTREMES],
        ).group_by(rows.series_id)
    ).all()
    sketches = fetch_binary(
        conn, _union((_Column.series_id, _Column.sketch, _Column.response_sketch), processes, pieces)
    )
    # A row that was stored between the two statements is in the next answer.
    known = {row.series_id for row in sums}
    return Rollups(series_keys(conn, known), sums, [one for one in sketches if one[1] and one[0] in known])


def fetch_binary(conn: Connection, statement: Any) -> list[Any]:
    """Return all rows of a statement as plain tuples, from PostgreSQL in the binary format.

    As text, bytes double in size and are decoded one by one; and each row that SQLAlchemy makes of a tuple
    costs as much as to fetch it: half of the time that many sketches take.

    Raises:
        psycopg.Error, sqlite3.Error: the driver's own; `reading.read` knows them.
    """
    compiled = statement.compile(dialect=conn.dialect, compile_kwargs={"render_postcompile": True})
    driver: Any = conn.connection.driver_connection
    if conn.dialect.name != "postgresql":
        values = [compiled.params[name] for name in compiled.positiontup]
        return list(driver.execute(str(compiled), values).fetchall())
    with driver.cursor(binary=True) as cursor:
        rows: list[Any] = cursor.execute(str(compiled), compiled.params).fetchall()
    return rows


def _union(columns: Sequence[Any], processes: Sequence[int], pieces: Iterable[Piece]) -> Any:
    return union_all(*[within(select(*columns), processes, *piece) for piece in pieces])


def series_keys(conn: Connection, ids: Iterable[int]) -> dict[int, SeriesKey]:
    """Return what the series with these integer keys are about."""
    series = tables.series.c
    found: dict[int, SeriesKey] = {}
    for chunk in chunks(sorted(ids)):
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


def chunks(ids: Sequence[int], size: int = 500) -> Iterator[Sequence[int]]:
    """Yield *ids* in parts that fit into one statement."""
    # Older SQLite takes at most 999 parameters in one statement.
    for at in range(0, len(ids), size):
        yield ids[at : at + size]
