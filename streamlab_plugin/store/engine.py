"""Open a database: one URL in, an SQLAlchemy engine out, every failure as one line.

SQLite runs in WAL mode with a single writing connection per file (the recorder's): before 3.51.3 several
writers may corrupt the log. Readers open the file read-only and never create it. PostgreSQL serves any number
of hosts; every wait for it is bounded, see `deadline`.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.pool import NullPool

from streamlab_plugin.core.errors import ConfigError, InfrastructureError
from streamlab_plugin.store.deadline import DeadlineConnection, connect

BUSY_TIMEOUT_MS = 3_000
# A database that keeps the recorder waiting longer than this, at any one answer, counts as out of reach.
PATIENCE_S = 3.0
READ_PATIENCE_S = 15.0
_REMEDY = "use sqlite:///PATH, e.g. sqlite:///streamlab.db, or postgresql://USER:PASSWORD@HOST/NAME"
_POSTGRESQL = frozenset({"postgresql", "postgres", "postgresql+psycopg"})


def parse_url(url: str) -> URL:
    """Check a database URL.

    Raises:
        ConfigError: it cannot be parsed or names a database that is not supported. The URL itself is not
            repeated: it may hold a password.
    """
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        raise ConfigError("the database URL cannot be parsed", remedy=_REMEDY) from None
    if parsed.drivername in _POSTGRESQL:
        if not parsed.database:
            raise ConfigError("the PostgreSQL URL names no database", remedy=_REMEDY)
        if "@" in f"{parsed.host}{parsed.database}":
            # What stands before it is a part of the password.
            raise ConfigError(
                "the PostgreSQL URL has more than one @",
                remedy="write special characters of the password in percent-encoding, @ as %40 and / as %2F",
            )
        return parsed.set(drivername="postgresql+psycopg")
    if parsed.drivername not in ("sqlite", "sqlite+pysqlite"):
        raise ConfigError(f"database {parsed.drivername!r} is not supported", remedy=_REMEDY)
    if not parsed.database or parsed.database == ":memory:":
        raise ConfigError("an in-memory database cannot be shared between processes", remedy=_REMEDY)
    return parsed


def is_sqlite(url: str) -> bool:
    """Whether the database is a SQLite file, which serves one host only."""
    return parse_url(url).get_backend_name() == "sqlite"


def absolute_url(url: str) -> str:
    """Return *url* so that it means the same from every directory; it may hold a password."""
    return f"sqlite:///{quote(str(database_path(url)))}" if is_sqlite(url) else url


def place(url: str) -> str:
    """Return where the database is, for people: a path, or a URL without user and password."""
    parsed = parse_url(url)
    if parsed.get_backend_name() == "sqlite":
        return str(_path(parsed))
    return f"postgresql://{_host(parsed)}/{parsed.database}"


def database_path(url: str) -> Path:
    """Return the absolute path of a SQLite file."""
    return _path(parse_url(url))


def fingerprint(url: str) -> str:
    """Return what identifies the database, without user and password; safe to show and to send to workers."""
    kind = "sqlite" if is_sqlite(url) else "postgresql"
    return f"{kind}-{hashlib.sha256(place(url).encode()).hexdigest()[:16]}"


def open_store(
    url: str, *, read_only: bool, patience_s: float | None = None, keeps_connection: bool = False
) -> Engine:
    """Return an engine; it is opened for reading or for the recorder's one writer.

    *patience_s* bounds each single wait for PostgreSQL (SQLite waits `BUSY_TIMEOUT_MS` for a lock). With
    *keeps_connection* one connection to PostgreSQL stays open between reads, for those who read often: a new
    one costs two fifths of a page.

    Raises:
        ConfigError: the URL is wrong.
        InfrastructureError: the SQLite file is missing (read-only), or its folder is missing or not writable.
    """
    parsed = parse_url(url)
    if parsed.get_backend_name() == "sqlite":
        return _open_sqlite(_path(parsed), read_only=read_only)
    patience_s = patience_s or (READ_PATIENCE_S if read_only else PATIENCE_S)
    engine = _open_postgresql(parsed, read_only=read_only, patience_s=patience_s, keeps=keeps_connection)
    # A reader's statements stand alone: without BEGIN and COMMIT each costs one round trip instead of three.
    return engine.execution_options(isolation_level="AUTOCOMMIT") if read_only else engine


def _open_postgresql(url: URL, *, read_only: bool, patience_s: float, keeps: bool) -> Engine:
    conninfo = url.set(drivername="postgresql").render_as_string(hide_password=False)
    name = "streamlab reader" if read_only else "streamlab recorder"

    def creator() -> DeadlineConnection:
        return connect(conninfo, name, read_only=read_only, patience_s=patience_s)

    if not keeps:
        return create_engine("postgresql+psycopg://", creator=creator, poolclass=NullPool)
    # Asked before each use: a server that has been restarted must not cost an answer.
    return create_engine("postgresql+psycopg://", creator=creator, pool_size=1, pool_pre_ping=True)


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
    )
    if not read_only:
        event.listen(engine, "connect", _prepare_writer)
        event.listen(engine, "begin", _begin)
    return engine


def _host(url: URL) -> str:
    port = f":{url.port}" if url.port else ""
    # libpq takes a socket's folder as the host, also from the query.
    host = url.host or str(url.query.get("host") or "localhost")
    return f"{host}{port}"


def _path(url: URL) -> Path:
    return Path(url.database or "").expanduser().resolve()


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
