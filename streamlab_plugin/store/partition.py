"""The daily partitions of ``records`` on PostgreSQL; SQLite keeps one table.

A partition holds the records of all runs that began on one UTC day, so that a day is dropped in one step.
"""

from __future__ import annotations

from sqlalchemy import Connection, text


def ensure_partition(connection: Connection, run_day: int) -> None:
    """Make the partition for *run_day* (days since 1970-01-01) in the caller's transaction."""
    if connection.dialect.name != "postgresql":
        return
    if connection.execute(text("SELECT to_regclass(:name)"), {"name": name(run_day)}).scalar() is None:
        # Hosts that meet here wait for each other until the end of the transaction.
        connection.execute(text("SELECT pg_advisory_xact_lock(:day)"), {"day": run_day})
        connection.execute(
            text(
                f"CREATE TABLE IF NOT EXISTS {name(run_day)} PARTITION OF records FOR VALUES IN ({run_day:d})"
            )
        )


def name(run_day: int) -> str:
    """Return the name of the partition's table."""
    return f"records_{run_day:d}"


def names(connection: Connection) -> list[str]:
    """Return the names of all partitions, in the caller's transaction."""
    query = text(
        "SELECT relname FROM pg_inherits JOIN pg_class ON oid = inhrelid"
        " WHERE inhparent = to_regclass('records') ORDER BY relname"
    )
    return list(connection.scalars(query))
