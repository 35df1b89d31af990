"""Signatures, their fixes, and what window rules find; written by the owner's recorder only."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, select, update

from streamlab_plugin.store import tables
from streamlab_plugin.store.upsert import insert, replace


def counted_already(connection: Connection, fingerprint: str, run_id: int) -> int:
    """Return how much of the run's occurrences the signature's count contains: not 0 after a restart only."""
    signatures, occurrences, processes = tables.signatures.c, tables.occurrences.c, tables.processes.c
    with connection.begin():
        counted = connection.execute(
            select(signatures.last_run_id).where(signatures.fingerprint == fingerprint)
        ).scalar_one_or_none()
        if counted != run_id:
            return 0
        own = connection.execute(
            select(occurrences.count)
            .join_from(tables.occurrences, tables.processes, occurrences.process_id == processes.id)
            .where(occurrences.fingerprint == fingerprint, processes.run_id == run_id)
        ).scalars()
        return int(sum(own))


def save_occurrence(connection: Connection, process_id: int, values: Mapping[str, Any]) -> None:
    """Store a cumulative occurrence row in the caller's transaction; an older one of the same bucket goes."""
    connection.execute(replace(connection, tables.occurrences, {"process_id": process_id, **values}))


def save_signature(
    connection: Connection, values: Mapping[str, Any], added: int, fixes: Sequence[Mapping[str, Any]]
) -> None:
    """Insert a signature with its *fixes* (columns but id and signature_id), or add *added* to its count.

    Other runs may count the same signature at the same time.
    """
    table = tables.signatures
    fresh = {name: values[name] for name in ("severity", "last_seen", "last_run_id")}
    with connection.begin():
        known = (
            update(table)
            .where(table.c.fingerprint == values["fingerprint"])
            .values(**fresh, count=table.c.count + added)
        )
        if connection.execute(known).rowcount:
            return
        statement = insert(connection, table).values(**values, count=added)
        signature_id = connection.execute(
            statement.on_conflict_do_update(
                index_elements=["fingerprint"], set_={**fresh, "count": table.c.count + added}
            ).returning(table.c.id)
        ).scalar_one()
        stored = select(tables.fixes.c.id).where(tables.fixes.c.signature_id == signature_id).limit(1)
        if connection.execute(stored).first() is not None:
            return
        for fix in fixes:
            row = {**fix, "steps": json.dumps(fix["steps"], ensure_ascii=False), "signature_id": signature_id}
            connection.execute(insert(connection, tables.fixes).values(**row))
