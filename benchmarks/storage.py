"""A measured database from outside: what is in it and how large it is, on either engine."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Engine, text

from streamlab_plugin.store.engine import open_store
from streamlab_plugin.store.url import database_path, is_sqlite

_SIZE = (
    "SELECT sum(pg_total_relation_size(c.oid)) FROM pg_class c"
    " JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind = 'r' AND n.nspname = 'public'"
)


class Storage:
    """The database at *url*."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.is_sqlite = is_sqlite(url)

    def exists(self) -> bool:
        """Whether there is something to read."""
        return not self.is_sqlite or database_path(self.url).exists()

    def reader(self) -> Engine:
        """Open it for reading."""
        return open_store(self.url, read_only=True)

    def scalar(self, query: str) -> Any:
        """Return the first value that *query* gives."""
        with self.reader().connect() as connection:
            return connection.execute(text(query)).scalar()

    def count_records(self) -> int:
        """Return how many records are in it."""
        return int(self.scalar("SELECT count(*) FROM records"))

    def size_bytes(self) -> int:
        """Return what its tables and indexes take on the disk; the recorder must have gone.

        A write-ahead log is not counted: SQLite's is emptied into the file first.
        """
        if not self.is_sqlite:
            return int(self.scalar(_SIZE))
        self._maintain("PRAGMA wal_checkpoint(TRUNCATE)")
        return database_path(self.url).stat().st_size

    def vacuum(self) -> None:
        """Let the engine tidy up as it would by itself or its owner once in a while."""
        self._maintain("VACUUM")

    def settle(self) -> None:
        """Do what PostgreSQL does by itself within minutes after much was stored."""
        if not self.is_sqlite:
            self._maintain("VACUUM (ANALYZE)")

    def log_bytes(self) -> int:
        """Return how much PostgreSQL has written to its write-ahead log since the server was made."""
        return 0 if self.is_sqlite else int(self.scalar("SELECT pg_current_wal_lsn() - '0/0'::pg_lsn"))

    def _maintain(self, statement: str) -> None:
        engine = open_store(self.url, read_only=False, patience_s=120.0)
        with engine.connect() as connection:
            driver: Any = connection.connection.driver_connection
            if not self.is_sqlite:
                driver.autocommit = True
            driver.execute(statement)
