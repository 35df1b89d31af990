"""Which keys the stored payloads have, endpoint by endpoint: what an audit of privacy looks at."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

from sqlalchemy import Connection, case, func, select

from streamlab_plugin.store import tables
from streamlab_plugin.store.record_rows import CHUNK_ROWS

KeyPath = tuple[str, ...]
"""A field of a payload, outermost key first; ``[]`` stands for the elements of an array."""

ELEMENT = "[]"
_COLUMN = tables.records.c
_NESTED = "%{%"


def stored_keys(conn: Connection, run_id: int | None = None) -> Mapping[str, Counter[KeyPath]]:
    """Return how many records of each endpoint have each field.

    Looks at every record, in the database as far as that can tell: only payloads with objects in them are
    read. Fields are those that hold a value; empty containers are never stored.

    Args:
        conn: A connection for reading.
        run_id: One run; None: all of them.
    """
    found: dict[str, Counter[KeyPath]] = defaultdict(Counter)
    endpoints = {
        row.id: row.endpoint for row in conn.execute(select(tables.series.c.id, tables.series.c.endpoint))
    }
    shapes = {row.id: tuple(json.loads(row.keys)) for row in conn.execute(select(tables.shapes))}
    for process in _processes(conn, run_id):
        for row in conn.execute(_grouped(process)):
            if flat := row.count - row.nested:
                found[endpoints[row.series_id]].update({(key,): flat for key in shapes[row.shape_id]})
            if row.nested:
                for payload in _nested(conn, process, row.series_id, row.shape_id):
                    values = dict(zip(shapes[row.shape_id], json.loads(payload), strict=False))
                    found[endpoints[row.series_id]].update(set(_paths(values)))
    return found


def _processes(conn: Connection, run_id: int | None) -> list[Any]:
    process, run = tables.processes.c, tables.runs.c
    statement = select(process.id, run.run_day).join_from(
        tables.processes, tables.runs, run.id == process.run_id
    )
    return list(conn.execute(statement if run_id is None else statement.where(run.id == run_id)))


def _grouped(process: Any) -> Any:
    is_nested = case((_COLUMN.payload.like(_NESTED), 1), else_=0)
    return (
        select(
            _COLUMN.series_id,
            _COLUMN.shape_id,
            func.count().label("count"),
            func.sum(is_nested).label("nested"),
        )
        .where(
            _COLUMN.run_day == process.run_day,
            _COLUMN.process_id == process.id,
            _COLUMN.shape_id.is_not(None),
            _COLUMN.payload.is_not(None),
        )
        .group_by(_COLUMN.series_id, _COLUMN.shape_id)
    )


def _nested(conn: Connection, process: Any, series_id: int, shape_id: int) -> Iterator[str]:
    after = -1
    while True:
        rows = conn.execute(
            select(_COLUMN.seq, _COLUMN.payload)
            .where(
                _COLUMN.run_day == process.run_day,
                _COLUMN.process_id == process.id,
                _COLUMN.seq > after,
                _COLUMN.series_id == series_id,
                _COLUMN.shape_id == shape_id,
                _COLUMN.payload.like(_NESTED),
            )
            .order_by(_COLUMN.seq)
            .limit(CHUNK_ROWS)
        ).all()
        if not rows:
            return
        yield from (row.payload for row in rows)
        after = rows[-1].seq


def _paths(value: Any, path: KeyPath = ()) -> Iterator[KeyPath]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _paths(inner, (*path, key))
    elif isinstance(value, list):
        for inner in value:
            yield from _paths(inner, (*path, ELEMENT))
    else:
        yield path
