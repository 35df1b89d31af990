"""Open a database: one URL in, an SQLAlchemy engine out, every failure as one line.

SQLite runs in WAL mode with a single writing connection per file (the recorder's): before 3.51.3 several
writers may corrupt the log. Readers open the file read-only and never create it.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
from pathlib import Path

from sqlalchemy import Engine, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.pool import NullPool

from streamlab_plugin.core.errors import ConfigError, InfrastructureError

BUSY_TIMEOUT_MS = 3_000
_REMEDY = "use sqlite:///PATH, e.g. sqlite:///streamlab.db"


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
    if parsed.get_backend_name() != "sqlite":
        raise ConfigError(
            f"database {parsed.get_backend_name()!r} is not supported by this version", remedy=_REMEDY
        )
    if not parsed.database or parsed.database == ":memory:":
        raise ConfigError("an in-memory database cannot be shared between processes", remedy=_REMEDY)
    return parsed


def database_path(url: str) -> Path:
    """Return the absolute path of the SQLite file."""
    return Path(parse_url(url).database or "").expanduser().resolve()


def fingerprint(url: str) -> str:
    """Return what identifies the database, without a password; safe to show and to send to workers."""
    return hashlib.sha256(f"sqlite:{database_path(url)}".encode()).hexdigest()[:16]


def open_store(url: str, *, read_only: bool) -> Engine:
    """Return an engine without a pool; it is opened for reading or for the recorder's one writer.

    Raises:
        ConfigError: the URL is wrong.
        InfrastructureError: the file is missing (read-only), or its folder is missing or not writable.
    """
    path = database_path(url)
    _check_place(path, read_only=read_only)
    mode = "ro" if read_only else "rwc"
    connect_args = {"uri": True, "timeout": BUSY_TIMEOUT_MS / 1000, "check_same_thread": False}
    engine = create_engine(
        f"sqlite:///file:{path}?mode={mode}&uri=true", poolclass=NullPool, connect_args=connect_args
    )
    if not read_only:
        event.listen(engine, "connect", _prepare_writer)
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


def _prepare_writer(connection: sqlite3.Connection, _record: object) -> None:
    # auto_vacuum only takes effect before the first table is made.
    connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    # Fewer, larger checkpoints (32 MB): a page that is written often goes to the database once.
    connection.execute("PRAGMA wal_autocheckpoint = 8000")
    connection.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
