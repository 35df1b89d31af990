"""Open a database: one URL in, an SQLAlchemy engine out, every failure as one line.

SQLite runs in WAL mode with a single writing connection per file (the recorder's): before 3.51.3 several
writers may corrupt the log. Readers open the file read-only and never create it. PostgreSQL serves any number
of hosts; every wait for it is bounded, see `deadline`.
"""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.pool import NullPool

from streamlab_plugin.core.errors import InfrastructureError
from streamlab_plugin.store.deadline import DeadlineConnection, connect
from streamlab_plugin.store.url import parse_url

BUSY_TIMEOUT_MS = 3_000
# A database that keeps the recorder waiting longer than this, at any one answer, counts as out of reach.
PATIENCE_S = 3.0
READ_PATIENCE_S = 15.0


def open_store(url: str, *, read_only: bool, patience_s: float | None = None, keeps: bool = False) -> Engine:
    """Return an engine; it is opened for reading or for the recorder's one writer.

    *patience_s* bounds each single wait for PostgreSQL (SQLite waits `BUSY_TIMEOUT_MS` for a lock). With
    *keeps* one connection to PostgreSQL stays open between reads, for those who read often: a new
    one costs two fifths of a page.

    Raises:
        ConfigError: the URL is wrong.
        InfrastructureError: the SQLite file is missing (read-only), or its folder is missing or not writable.
    """
    parsed = parse_url(url)
    if parsed.is_sqlite:
        return _open_sqlite(parsed.path, read_only=read_only)
    patience_s = patience_s or (READ_PATIENCE_S if read_only else PATIENCE_S)
    engine = _open_postgresql(parsed.conninfo, read_only=read_only, patience_s=patience_s, keeps=keeps)
    # A reader's statements stand alone: without BEGIN and COMMIT each costs one round trip instead of three.
    return engine.execution_options(isolation_level="AUTOCOMMIT") if read_only else engine


def _open_postgresql(conninfo: str, *, read_only: bool, patience_s: float, keeps: bool) -> Engine:
    name = "streamlab reader" if read_only else "streamlab recorder"

    def creator() -> DeadlineConnection:
        return connect(conninfo, name, read_only=read_only, patience_s=patience_s)

    # Parameters are hidden: an error's text goes into logs, and they may be pseudonyms.
    if not keeps:
        return create_engine(
            "postgresql+psycopg://", creator=creator, poolclass=NullPool, hide_parameters=True
        )
    # Asked before each use: a server that has been restarted must not cost an answer.
    return create_engine(
        "postgresql+psycopg://", creator=creator, pool_size=1, pool_pre_ping=True, hide_parameters=True
    )


def _open_sqlite(path: Path, *, read_only: bool) -> Engine:
    _check_place(path, read_only=read_only)
    mode = "ro" if read_only else "rwc"
    uri = f"{path.as_uri()}?mode={mode}"
    engine = create_engine(
        "sqlite://",
        creator=lambda: sqlite3.connect(
            uri, uri=True, timeout=BUSY_TIMEOUT_MS / 1000, check_same_thread=False
        ),
        poolclass=NullPool,
        hide_parameters=True,
    )
    if not read_only:
        event.listen(engine, "connect", _prepare_writer)
        event.listen(engine, "begin", _begin)
    return engine


def _check_place(path: Path, *, read_only: bool) -> None:
    if read_only:
        if not path.is_file():
            raise InfrastructureError(
                f"there is no database at {path}; run a test first, or set STREAMLAB_DATABASE_URL"
            )
        return
    if path.is_dir():
        raise InfrastructureError(f"the database path {path} is a folder; name a file")
    if not path.parent.is_dir():
        raise InfrastructureError(f"the folder {path.parent} for the database does not exist; create it")
    target = path if path.exists() else path.parent
    if not os.access(target, os.W_OK) or not os.access(path.parent, os.W_OK):
        raise InfrastructureError(
            f"the database {path} cannot be written (permission denied); "
            "choose another place with STREAMLAB_DATABASE_URL=sqlite:///PATH"
        )


def _prepare_writer(connection: sqlite3.Connection, _record: Any) -> None:
    # Left to itself the driver opens no transaction before DDL: a migration could be stored by halves.
    connection.isolation_level = None
    # auto_vacuum only takes effect before the first table is made.
    connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    # Fewer, larger checkpoints (32 MB): a page that is written often goes to the database once.
    connection.execute("PRAGMA wal_autocheckpoint = 8000")
    connection.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")
