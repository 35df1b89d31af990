"""Rows of ``records`` with their names back.

The view ``records_flat`` joins five tables for every row; here a chunk of rows is read by primary key, and
the few series, shapes and errors it refers to are looked up once.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, select

from streamlab_plugin.core.record import OUTCOMES
from streamlab_plugin.store import tables
from streamlab_plugin.store.rollup_queries import chunks

CHUNK_ROWS = 2_000
# A stretch of numbers that one statement goes through at most, however few rows of it are wanted.
STRETCH = 20_000

_COLUMN = tables.records.c


class Record(NamedTuple):
    """One exchange; fields as in the view ``records_flat``, payload as JSON text."""

    run: str
    process: str
    seq: int
    protocol: str
    operation: str
    endpoint: str
    direction: str
    user_class: str
    started_at: float
    scheduled_at: float | None
    latency_ms: float | None
    wait_ms: float | None
    size_bytes: int
    payload: str | None
    schema_hash: str | None
    outcome: str
    status: int | None
    error_type: str | None
    error_message: str | None
    correlation_id: str | None
    stream: str | None
    stream_seq: int | None
    fault: str | None
    findings: str | None

    @property
    def ended_at(self) -> float:
        """When the exchange ended, epoch seconds."""
        return ended_at(self.started_at, self.latency_ms)


class Source(NamedTuple):
    """A process whose records are read; *is_whole*: none of them is missing after roll-up."""

    id: int
    process: str
    run: str
    run_day: int
    is_whole: bool


def ended_at(started_at: float, latency_ms: float | None) -> float:
    """Return when an exchange ended, computed as its rollup was chosen."""
    return started_at + (latency_ms or 0.0) / 1000.0


def sources(conn: Connection, run_id: int) -> list[Source]:
    """Return the processes of a run."""
    process, run = tables.processes.c, tables.runs.c
    rows = conn.execute(
        select(
            process.id, process.process, run.run, run.run_day,
            (process.evicted + process.quarantined + process.erased).label("missing"),
        )
        .join_from(tables.processes, tables.runs, run.id == process.run_id)
        .where(run.id == run_id)
        .order_by(process.id)
    )  # fmt: skip
    return [Source(*row[:4], not row.missing) for row in rows]


class Reader:
    """Read records by primary key; the names it has seen are kept."""

    def __init__(self, conn: Connection) -> None:
        self._conn = conn
        self._series: dict[int, Any] = {}
        self._shapes: dict[int, Any] = {}
        self._errors: dict[int, Any] = {}

    def newest(self, source: Source, limit: int) -> list[Record]:
        """Return the *limit* records of a process with the highest numbers, highest first."""
        where = (_COLUMN.run_day == source.run_day, _COLUMN.process_id == source.id)
        statement = select(tables.records).where(*where).order_by(_COLUMN.seq.desc()).limit(limit)
        return self._named(source, self._conn.execute(statement).all())

    def upwards(self, source: Source, after: int = 0) -> Iterator[list[Record]]:
        """Yield the records with numbers above *after* in chunks, lowest first."""
        where = (_COLUMN.run_day == source.run_day, _COLUMN.process_id == source.id)
        while True:
            rows = self._conn.execute(
                select(tables.records)
                .where(*where, _COLUMN.seq > after)
                .order_by(_COLUMN.seq)
                .limit(CHUNK_ROWS)
            ).all()
            if not rows:
                return
            yield self._named(source, rows)
            after = rows[-1].seq

    def downwards(
        self, source: Source, first: int, end: int, conditions: Sequence[ColumnElement[bool]]
    ) -> Iterator[list[Record]]:
        """Yield the records with *first* ≤ number < *end* that meet *conditions* in chunks, highest first."""
        where = (_COLUMN.run_day == source.run_day, _COLUMN.process_id == source.id, *conditions)
        while first < end:
            begin = max(first, end - STRETCH)
            rows = self._conn.execute(
                select(tables.records)
                .where(*where, _COLUMN.seq >= begin, _COLUMN.seq < end)
                .order_by(_COLUMN.seq.desc())
                .limit(CHUNK_ROWS)
            ).all()
            if rows:
                yield self._named(source, rows)
            end = rows[-1].seq if len(rows) == CHUNK_ROWS else begin

    def _named(self, source: Source, rows: Sequence[Any]) -> list[Record]:
        self._learn(self._series, tables.series, {row.series_id for row in rows})
        self._learn(self._shapes, tables.shapes, {row.shape_id for row in rows})
        self._learn(self._errors, tables.errors, {row.error_id for row in rows})
        return [self._record(source, row) for row in rows]

    def _learn(self, known: dict[int, Any], table: Any, ids: Iterable[int | None]) -> None:
        for chunk in chunks(sorted(one for one in ids if one is not None and one not in known)):
            for row in self._conn.execute(select(table).where(table.c.id.in_(chunk))):
                known[row.id] = row

    def _record(self, source: Source, row: Any) -> Record:
        series = self._series[row.series_id]
        shape = self._shapes.get(row.shape_id)
        error = self._errors.get(row.error_id)
        return Record(
            source.run, source.process, row.seq, series.protocol, series.operation, series.endpoint,
            series.direction, series.user_class, row.started_at, row.scheduled_at, row.latency_ms,
            row.wait_ms, row.size_bytes, _object(shape, row.payload),
            None if shape is None else shape.schema_hash,
            OUTCOMES[row.outcome], row.status, None if error is None else error.error_type,
            None if error is None else error.error_message, row.correlation_id, row.stream, row.stream_seq,
            row.fault, row.findings,
        )  # fmt: skip


def _object(shape: Any, payload: str | None) -> str | None:
    """Return a payload's values under their keys again."""
    if shape is None or payload is None:
        return None
    values = dict(zip(json.loads(shape.keys), json.loads(payload), strict=False))
    return json.dumps(values, ensure_ascii=False, separators=(",", ":"))


def ids_where(conn: Connection, table: Any, matches: Callable[[Any], bool]) -> list[int]:
    """Return the integer keys of the rows of a small table of names that match."""
    return [row.id for row in conn.execute(select(table)) if matches(row)]
