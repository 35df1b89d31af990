"""A cleanup that only one host does at a time, where several share one PostgreSQL.

Each host has archive files of its own; two that send the same rows away at once would get into each other's
way.
"""

from __future__ import annotations

import contextlib
from collections.abc import Generator
from pathlib import Path

from sqlalchemy import Connection, text

from streamlab_plugin.core.errors import InfrastructureError
from streamlab_plugin.store.cleanup import Report, cleanup

_ADVISORY_LOCK = 0x5357_4C41_4232


def upkeep(connection: Connection, archive_folder: Path, now: float) -> Generator[str, None, Report]:
    """Do what `cleanup` does.

    Raises:
        InfrastructureError: another recorder is at it.
        sqlalchemy.exc.DBAPIError: the database is out of reach; a later cleanup goes on from there.
    """
    with one_host(connection):
        return (yield from cleanup(connection, archive_folder, now))


@contextlib.contextmanager
def one_host(connection: Connection) -> Generator[None, None, None]:
    """Keep other hosts from cleaning up or erasing.

    Raises:
        InfrastructureError: another recorder is at it.
    """
    if connection.dialect.name != "postgresql":
        yield
        return
    if not _ask(connection, "SELECT pg_try_advisory_lock(:lock)"):
        raise InfrastructureError("another host is cleaning this database up; try again when it is done")
    try:
        yield
    finally:
        # Should the connection be gone, so is the lock.
        if not connection.closed and not connection.invalidated:
            _ask(connection, "SELECT pg_advisory_unlock(:lock)")


def _ask(connection: Connection, statement: str) -> bool:
    with connection.begin():
        return bool(connection.scalar(text(statement), {"lock": _ADVISORY_LOCK}))
