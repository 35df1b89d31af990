"""Rows as they are archived: whole in themselves, so that a file can be read without the database.

A row names what the tables only number, and its payload is an object of the very values that were stored.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Connection, Row, Select, Table, select, tuple_

from streamlab_plugin.core.record import OUTCOMES
from streamlab_plugin.store import tables


def read_page(
    connection: Connection,
    table: Table,
    key: Sequence[str],
    where: Iterable[ColumnElement[bool]],
    after: Sequence[Any] | None,
    limit: int,
) -> list[dict[str, Any]]:
    """Return the next rows of *table* (records or occurrences) as they are archived.

    Args:
        connection: In a transaction of the caller's.
        table: ``records`` or ``occurrences``.
        key: The columns that order the rows.
        where: Which rows.
        after: The key of the last row before the page.
        limit: At most so many.
    """
    columns = [table.c[name] for name in key]
    query = (_records() if table is tables.records else _occurrences()).where(*where)
    if after is not None:
        query = query.where(tuple_(*columns) > tuple_(*after))
    rows = connection.execute(query.order_by(*columns).limit(limit))
    return [_plain(row) for row in rows]


def _records() -> Select[Any]:
    """Return the columns of the view ``records_flat``; a row whose series is unknown is not left out."""
    record, series, shape, error = tables.records.c, tables.series.c, tables.shapes.c, tables.errors.c
    return (
        select(
            tables.runs.c.run, tables.processes.c.process, record.seq,
            series.protocol, series.operation, series.endpoint, series.direction, series.user_class,
            record.started_at, record.scheduled_at, record.latency_ms, record.wait_ms, record.size_bytes,
            record.payload, shape["keys"], shape.schema_hash, record.outcome,
            record.status, error.error_type, error.error_message,
            record.correlation_id, record.stream, record.stream_seq, record.fault, record.findings,
        )
        .select_from(tables.records)
        .join(tables.processes, tables.processes.c.id == record.process_id)
        .join(tables.runs, tables.runs.c.id == tables.processes.c.run_id)
        .outerjoin(tables.series, series.id == record.series_id)
        .outerjoin(tables.shapes, shape.id == record.shape_id)
        .outerjoin(tables.errors, error.id == record.error_id)
    )  # fmt: skip


def _occurrences() -> Select[Any]:
    occurrence = tables.occurrences.c
    own = [column for column in occurrence if column.name != "process_id"]
    return (
        select(tables.runs.c.run, tables.processes.c.process, *own)
        .select_from(tables.occurrences)
        .join(tables.processes, tables.processes.c.id == occurrence.process_id)
        .join(tables.runs, tables.runs.c.id == tables.processes.c.run_id)
    )


def _plain(row: Row[Any]) -> dict[str, Any]:
    values = dict(row._mapping)
    if "exemplars" in values:
        values["exemplars"] = msgspec.Raw(values["exemplars"].encode())
        return values
    keys, payload = values.pop("keys"), values["payload"]
    if payload is not None and keys is not None:
        # The values' own text, so that no number changes on its way.
        raw = msgspec.json.decode(payload, type=list[msgspec.Raw])
        values["payload"] = dict(zip(_names(keys), raw, strict=False))
    values["outcome"] = OUTCOMES[values["outcome"]]
    return values


@functools.lru_cache(maxsize=256)
def _names(keys: str) -> tuple[str, ...]:
    return tuple(json.loads(keys))
