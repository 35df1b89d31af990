"""Signatures, their fixes, and what window rules find; written by the owner's recorder only."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, bindparam, select, update

from streamlab_plugin.store import tables
from streamlab_plugin.store.finding_queries import OccurrenceCount
from streamlab_plugin.store.upsert import insert, replace


def save_occurrence(connection: Connection, process_id: int, values: Mapping[str, Any]) -> None:
    """Store a cumulative occurrence row in the caller's transaction; an older one of the same bucket goes."""
    connection.execute(replace(connection, tables.occurrences, {"process_id": process_id, **values}))


def save_signature(
    connection: Connection,
    values: Mapping[str, Any],
    rows: Sequence[OccurrenceCount],
    fixes: Sequence[Mapping[str, Any]],
) -> None:
    """Insert a signature with its *fixes* (columns but id and signature_id), or add to its count.

    What is added is the part of *rows*, its occurrences as they were read, that was not counted before; that
    is noted with them in the same transaction. Other runs may count the same signature at the same time.
    """
    table = tables.signatures
    added = sum(row.count - row.counted for row in rows)
    fresh = {name: values[name] for name in ("severity", "last_seen", "last_run_id")}
    statement = insert(connection, table).values(**values, count=added)
    with connection.begin():
        signature_id = connection.execute(
            statement.on_conflict_do_update(
                index_elements=["fingerprint"], set_={**fresh, "count": table.c.count + added}
            ).returning(table.c.id)
        ).scalar_one()
        _note_counted(connection, rows)
        stored = select(tables.fixes.c.id).where(tables.fixes.c.signature_id == signature_id).limit(1)
        if connection.execute(stored).first() is not None:
            return
        for fix in fixes:
            row = {**fix, "steps": json.dumps(fix["steps"], ensure_ascii=False), "signature_id": signature_id}
            connection.execute(insert(connection, tables.fixes).values(**row))


def _note_counted(connection: Connection, rows: Sequence[OccurrenceCount]) -> None:
    table = tables.occurrences
    statement = (
        update(table)
        .where(
            table.c.process_id == bindparam("of_process"),
            table.c.fingerprint == bindparam("of_fingerprint"),
            table.c.start == bindparam("of_start"),
        )
        .values(counted=bindparam("seen"))
    )
    # Not its present count: more may have come since the row was read.
    connection.execute(
        statement,
        [
            {
                "of_process": row.process_id, "of_fingerprint": row.fingerprint, "of_start": row.start,
                "seen": row.count,
            }
            for row in rows
        ],
    )  # fmt: skip
