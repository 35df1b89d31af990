"""The rows of ``archives``: which files there are, and whether what they hold may still be in its table.

A row is ``written`` from the moment its file is whole until what the file holds has left its table, then
``done``. By that the next cleanup finds what a crash has left half done.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Row, select, update

from streamlab_plugin.store import tables, upsert
from streamlab_plugin.store.archive import Written


@dataclass(frozen=True, slots=True)
class Entry:
    """A row of ``archives``."""

    id: int
    unit: str
    path: Path
    sha256: str
    rows: int


def unfinished(connection: Connection, kind: str, process: str) -> tuple[Entry | None, str]:
    """Return the archive of a process whose rows may still be in their table, and the name for a new one.

    Later rows of the same process go into a file of their own, so the names are numbered.
    """
    column, prefix = tables.archives.c, f"{process}."
    found = connection.execute(
        select(tables.archives)
        .where(column.kind == kind, column.unit.startswith(prefix, autoescape=True))
        .order_by(column.id)
    ).all()
    last = max((int(row.unit.removeprefix(prefix)) for row in found), default=0)
    for row in found:
        if row.state == "written":
            return _entry(row), row.unit
    return None, f"{prefix}{last + 1}"


def unsettled(connection: Connection, kind: str) -> list[tuple[str, Entry]]:
    """Return all archives of a kind whose rows may still be in their table, with their processes."""
    column = tables.archives.c
    found = connection.execute(
        select(tables.archives).where(column.kind == kind, column.state == "written").order_by(column.id)
    )
    return [(row.unit.rpartition(".")[0], _entry(row)) for row in found]


def note(
    connection: Connection, kind: str, unit: str, written: Written, *, made_at: float, expires_at: float
) -> Entry | None:
    """Store that a file is whole, in the caller's transaction; None: another host has stored one."""
    values = {
        "kind": kind, "unit": unit, "path": str(written.path), "sha256": written.sha256, "rows": written.rows,
        "size_bytes": written.size_bytes, "state": "written", "made_at": made_at, "expires_at": expires_at,
    }  # fmt: skip
    statement = upsert.insert(connection, tables.archives).values(values).on_conflict_do_nothing()
    ident = connection.execute(statement.returning(tables.archives.c.id)).scalar_one_or_none()
    return None if ident is None else Entry(ident, unit, written.path, written.sha256, written.rows)


def set_done(connection: Connection, idents: Sequence[int]) -> None:
    """Store that the rows of these archives have left their table, in the caller's transaction."""
    column = tables.archives.c
    connection.execute(update(tables.archives).where(column.id.in_(idents)).values(state="done"))


def _entry(row: Row[Any]) -> Entry:
    return Entry(row.id, row.unit, Path(row.path), row.sha256, row.rows)
