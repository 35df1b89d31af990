"""Give unused space back and refresh the planner's statistics."""

from __future__ import annotations

import threading
from collections.abc import Generator, Sequence
from typing import Any

from sqlalchemy import Connection, text

from streamlab_plugin.core.errors import InfrastructureError
from streamlab_plugin.store.engine import open_store
from streamlab_plugin.store.failure import DATABASE_ERRORS, reason

_PAGES_AT_ONCE = 2_000
_PATIENCE_S = 3600.0


def vacuum(url: str, connection: Connection) -> Generator[str, None, dict[str, Any]]:
    """Vacuum the database behind *connection* in steps; returns its size before and after in bytes."""
    before = _size(connection)
    if connection.dialect.name == "postgresql":
        yield from _postgresql(url, "VACUUM (ANALYZE)")
    else:
        yield from _sqlite(connection)
    return {"before_bytes": before, "after_bytes": _size(connection)}


def _size(connection: Connection) -> int:
    with connection.begin():
        if connection.dialect.name == "postgresql":
            return int(connection.scalar(text("SELECT pg_database_size(current_database())")) or 0)
        pages = connection.scalar(text("PRAGMA page_count")) or 0
        return int(pages * (connection.scalar(text("PRAGMA page_size")) or 0))


def _sqlite(connection: Connection) -> Generator[str, None, None]:
    driver: Any = connection.connection.driver_connection
    left = driver.execute("PRAGMA freelist_count").fetchone()[0]
    while left:
        # `execute` would stop after the first page.
        driver.executescript(f"PRAGMA incremental_vacuum({_PAGES_AT_ONCE})")
        yield f"{left:,} free pages left"
        now = driver.execute("PRAGMA freelist_count").fetchone()[0]
        if now >= left:
            break
        left = now
    driver.execute("PRAGMA optimize").fetchall()
    driver.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()


def vacuum_tables(url: str, tables: Sequence[str]) -> Generator[str, None, None]:
    """Vacuum some tables of a PostgreSQL database: what was deleted there can be overwritten then."""
    yield from _postgresql(url, f"VACUUM {', '.join(tables)}")


def _postgresql(url: str, statement: str) -> Generator[str, None, None]:
    # On a connection of its own, and in a thread: it may take minutes, and nothing here waits for it.
    failures: list[str] = []

    def work() -> None:
        engine = open_store(url, read_only=False, patience_s=_PATIENCE_S)
        try:
            with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as own:
                own.execute(text(statement))
        except DATABASE_ERRORS as error:
            failures.append(reason(error))

    thread = threading.Thread(target=work, name="streamlab-vacuum", daemon=True)
    thread.start()
    while thread.is_alive():
        thread.join(0.02)
        yield "vacuum is running"
    if failures:
        raise InfrastructureError(f"vacuum failed: {failures[0]}")
