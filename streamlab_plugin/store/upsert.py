"""INSERT with ON CONFLICT in the dialect of the connection; both databases take the same clauses."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Table
from sqlalchemy.dialects import postgresql, sqlite


def insert(connection: Connection, table: Table) -> Any:
    """Return an INSERT on *table* with `on_conflict_do_nothing` and `on_conflict_do_update`."""
    return insert_into(table, connection.dialect.name)


def insert_into(table: Table, dialect: str) -> Any:
    """Return what `insert` does, for the *dialect* of that name."""
    return postgresql.insert(table) if dialect == "postgresql" else sqlite.insert(table)


def replace(connection: Connection, table: Table, values: dict[str, Any]) -> Any:
    """Return an INSERT of one row that takes the place of an older one with the same primary key."""
    statement = insert(connection, table).values(values)
    keys = [column.name for column in table.primary_key.columns]
    fresh = {name: statement.excluded[name] for name in values if name not in keys}
    return statement.on_conflict_do_update(index_elements=keys, set_=fresh)
