"""Signatures, their fixes, and what window rules find; written by the owner's recorder only."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple

from sqlalchemy import Connection, bindparam, select, update

from streamlab_plugin.store import tables
from streamlab_plugin.store.finding_queries import OccurrenceCount
from streamlab_plugin.store.upsert import insert, insert_into, replace


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
    statements = _statements(connection.dialect.name)
    added = sum(row.count - row.counted for row in rows)
    with connection.begin():
        signature_id = connection.execute(statements.save, {**values, "count": added}).scalar_one()
        # Not its present count: more may have come since the row was read.
        connection.execute(
            statements.note_counted,
            [
                {
                    "of_process": row.process_id, "of_fingerprint": row.fingerprint, "of_start": row.start,
                    "seen": row.count,
                }
                for row in rows
            ],
        )  # fmt: skip
        if connection.execute(statements.find_fix, {"of_signature": signature_id}).first() is not None:
            return
        for fix in fixes:
            row = {**fix, "steps": json.dumps(fix["steps"], ensure_ascii=False), "signature_id": signature_id}
            connection.execute(insert(connection, tables.fixes).values(**row))


class _Statements(NamedTuple):
    """What is said for each signature in each second of a test: making it anew takes longer than doing it."""

    save: Any
    note_counted: Any
    find_fix: Any


@cache
def _statements(dialect: str) -> _Statements:
    signatures, occurrences, fixes = tables.signatures, tables.occurrences.c, tables.fixes.c
    adding = insert_into(signatures, dialect)
    fresh = {name: adding.excluded[name] for name in ("severity", "last_seen", "last_run_id")}
    return _Statements(
        adding.on_conflict_do_update(
            index_elements=["fingerprint"],
            set_={**fresh, "count": signatures.c.count + adding.excluded.count},
        ).returning(signatures.c.id),
        update(tables.occurrences)
        .where(
            occurrences.process_id == bindparam("of_process"),
            occurrences.fingerprint == bindparam("of_fingerprint"),
            occurrences.start == bindparam("of_start"),
        )
        .values(counted=bindparam("seen")),
        select(fixes.id).where(fixes.signature_id == bindparam("of_signature")).limit(1),
    )
