"""Single records, for `streamlab events` and the export: the newest ones, or those that meet a filter.

``records`` has no index but its primary key, so that storing costs nothing more; `record_spans` says where to
look instead. Everything here is a generator over chunks: memory does not grow with what is found.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import islice
from typing import Any

from sqlalchemy import ColumnElement, Connection, func, or_, select

from streamlab_plugin.store import tables
from streamlab_plugin.store.range_queries import oldest_starts
from streamlab_plugin.store.record_rows import Reader, Record, Source, ids_where, sources
from streamlab_plugin.store.record_spans import (
    FAILURE,
    Numbers,
    Span,
    Wanted,
    among,
    ended_within,
    record_conditions,
    spans,
)
from streamlab_plugin.store.run_queries import RUNNING, Run

# A record is looked for this long before and after the second in which it ended. Most are reported at once;
# one that took a while (a `with` block that goes on after the answer) is missed by the rollups' count, and
# looked for further away.
SLACKS_S = (0.5, 30.0, 600.0)
# Where records are missing for good, or were never counted, the count says nothing.
ONLY_SLACK_S = 30.0
# A span is sorted as a whole up to so many records: what one second of one process may hold.
SORTED_ROWS = 50_000
# Failures that are looked at to tell which errors are frequent.
ERRORS_SEEN = 200


@dataclass(frozen=True, slots=True)
class RecordFilter:
    """Which records are wanted; None means any. ``outcome`` may also be ``failure``: error or timeout.

    ``endpoint`` is a pattern with ``*`` and ``?``; ``error`` is a part of the error's class or text, whatever
    its case, and means failures only; ``finding`` is a rule's name. A record lies between ``since`` and
    ``until`` (epoch seconds) when it ended there.
    """

    protocol: str | None = None
    operation: str | None = None
    endpoint: str | None = None
    user_class: str | None = None
    outcome: str | None = None
    status: int | None = None
    error: str | None = None
    finding: str | None = None
    since: float | None = None
    until: float | None = None
    min_latency_ms: float | None = None

    def is_about(self, series: Any) -> bool:
        """Whether a row of ``series`` is wanted."""
        exact = ("protocol", "operation", "user_class")
        return all(getattr(self, name) in (None, getattr(series, name)) for name in exact) and (
            self.endpoint is None or fnmatchcase(series.endpoint, self.endpoint)
        )


def newest(conn: Connection, run_id: int | None, limit: int) -> list[Record]:
    """Return the *limit* records that ended last, newest first.

    They are of one run, or of the latest and all that are going on.
    """
    reader = Reader(conn)
    found: list[Record] = []
    for one in _recent_runs(conn) if run_id is None else [run_id]:
        for source in sources(conn, one):
            found += reader.newest(source, limit)
            found = heapq.nlargest(limit, found, key=_age)
    return found


def reached(conn: Connection, run_id: int) -> dict[str, int]:
    """Return the highest number of each of the run's processes that has records."""
    column = tables.records.c
    found = {}
    for source in sources(conn, run_id):
        highest = conn.scalar(
            select(func.max(column.seq)).where(
                column.run_day == source.run_day, column.process_id == source.id
            )
        )
        if highest is not None:
            found[source.process] = int(highest)
    return found


def added(conn: Connection, run_id: int, after: Mapping[str, int]) -> Iterator[Record]:
    """Yield the run's records above the numbers in *after* (process → number), lowest first per process."""
    reader = Reader(conn)
    for source in sources(conn, run_id):
        for chunk in reader.upwards(source, after.get(source.process, 0)):
            yield from chunk


def find_records(
    conn: Connection, run: Run, wanted: RecordFilter, limit: int | None = None
) -> Iterator[Record]:
    """Yield the run's records that meet a filter, newest first.

    A process whose rollups are gone is read from end to end; its records come in the order of their numbers.
    """
    search = _search(conn, wanted)
    if search is None:
        return
    oldest = oldest_starts(conn, run.id)
    reader = Reader(conn)
    parts = [search.of(reader, source, oldest[source.id]) for source in sources(conn, run.id)]
    yield from islice(heapq.merge(*parts, key=_age, reverse=True), limit)


@dataclass(frozen=True, slots=True)
class ErrorCount:
    """How often an error occurred at an endpoint; *error_type* and *error_message* may be empty."""

    protocol: str
    endpoint: str
    error_type: str
    error_message: str
    count: int


def frequent_errors(
    conn: Connection, run: Run, most: int, since: float | None = None, until: float | None = None
) -> tuple[list[ErrorCount], int]:
    """Return the *most* frequent errors among the newest failures, and how many of those were looked at."""
    failures = find_records(conn, run, RecordFilter(outcome=FAILURE, since=since, until=until), ERRORS_SEEN)
    counts = Counter(
        (one.protocol, one.endpoint, one.error_type or "", one.error_message or "") for one in failures
    )
    ranked = sorted(counts.items(), key=lambda one: (-one[1], one[0]))
    return [ErrorCount(*key, count) for key, count in ranked[:most]], counts.total()


def _age(record: Record) -> tuple[float, str, int]:
    return record.ended_at, record.process, record.seq


def _recent_runs(conn: Connection) -> list[int]:
    """Return the keys of the run that began last and of all that are still going on."""
    column = tables.runs.c
    latest = select(column.id).order_by(column.started_at.desc(), column.id.desc()).limit(1).scalar_subquery()
    return list(conn.scalars(select(column.id).where(or_(column.id == latest, column.state == RUNNING))))


@dataclass(frozen=True, slots=True)
class _Search:
    """A filter, as far as it can be told: by rollups, by the database, and of the whole record."""

    conn: Connection
    wanted: Wanted
    counted: Sequence[ColumnElement[bool]]  # what the rollups count
    further: Sequence[ColumnElement[bool]]
    finding: str | None

    def of(self, reader: Reader, source: Source, oldest: Sequence[int | None]) -> Iterator[Record]:
        """Yield the records of one process, newest first."""
        numbers = Numbers(self.conn, source.run_day, source.id)
        if not numbers:
            return
        for span in spans(self.conn, source.id, oldest, self.wanted):
            begin, end = max(span.begin, self.wanted.since), min(span.end, self.wanted.until)
            conditions = (*self.counted, *self.further, *ended_within(begin, end))
            found = (
                [record for record in chunk if self._is_meant(record)]
                for chunk in reader.downwards(source, *self._place(numbers, source, span), conditions)
            )
            if span.expected is None or span.expected > SORTED_ROWS:
                for chunk in found:
                    yield from sorted(chunk, key=_age, reverse=True)
            else:
                yield from sorted((one for chunk in found for one in chunk), key=_age, reverse=True)

    def _place(self, numbers: Numbers, source: Source, span: Span) -> tuple[int, int]:
        """Return (first, end) of the numbers among which the span's records are."""
        begin, end = span.begin, span.end
        if span.expected is None or span.expected > SORTED_ROWS or not source.is_whole:
            begin, end = max(begin, self.wanted.since), min(end, self.wanted.until)
            return numbers.between(begin - ONLY_SLACK_S, end + ONLY_SLACK_S)
        counted = (*self.counted, *ended_within(begin, end))
        place = (0, 0)
        for slack_s in SLACKS_S:
            place = numbers.between(begin - slack_s, end + slack_s)
            if numbers.count(*place, counted) >= span.expected:
                break
        return place

    def _is_meant(self, record: Record) -> bool:
        # The database's LIKE knows no case on SQLite.
        return self.finding is None or self.finding in (record.findings or "").split(",")


def _search(conn: Connection, wanted: RecordFilter) -> _Search | None:
    """Return how to look for the wanted records, None when no name in the database meets the filter."""
    record = tables.records.c
    series = None if _names_any_series(wanted) else ids_where(conn, tables.series, wanted.is_about)
    further: list[ColumnElement[bool]] = []
    if wanted.error is not None:
        part = wanted.error.casefold()
        errors = ids_where(
            conn,
            tables.errors,
            lambda row: part in f"{row.error_type}: {row.error_message}".casefold(),
        )
        if not errors:
            return None
        further.append(among(record.error_id, errors))
    if series is not None and not series:
        return None
    if wanted.status is not None:
        further.append(record.status == wanted.status)
    if wanted.finding is not None:
        further.append(record.findings.contains(wanted.finding, autoescape=True))
    if wanted.min_latency_ms is not None:
        further.append(record.latency_ms >= wanted.min_latency_ms)
    told = Wanted(
        None if series is None else tuple(series),
        FAILURE if wanted.outcome is None and wanted.error is not None else wanted.outcome,
        wanted.min_latency_ms,
        float("-inf") if wanted.since is None else wanted.since,
        float("inf") if wanted.until is None else wanted.until,
    )
    return _Search(conn, told, record_conditions(told), further, wanted.finding)


def _names_any_series(wanted: RecordFilter) -> bool:
    return (wanted.protocol, wanted.operation, wanted.endpoint, wanted.user_class) == (None,) * 4
