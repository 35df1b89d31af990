"""Where batches wait while the database does not answer: a SQLite file of this host's own.

One table of batches in their order, each with its raw records apart from the rest: when the spool is full the
oldest raw records go, while counts, latencies and findings stay exact. A second table keeps what was said
about runs and processes, so that a run can begin, and end, while the database is away.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import sqlite3
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar

import msgspec

from streamlab_plugin.store.batch import StreamWrite
from streamlab_plugin.store.spool_codec import decode, encode
from streamlab_plugin.store.spool_status import CAPACITY_BYTES

logger = logging.getLogger(__name__)

# Raw records go in parts of this size, so that a full spool does not delete with every batch.
_ROOM_SHARE = 0.05
_PAGES_AT_ONCE = 1_000
_SCHEMA = """
CREATE TABLE IF NOT EXISTS batches (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    process TEXT NOT NULL, first_frame INTEGER NOT NULL, last_frame INTEGER NOT NULL,
    spooled_at REAL NOT NULL, count INTEGER NOT NULL, produced INTEGER NOT NULL,
    records BLOB, rest BLOB NOT NULL
);
CREATE INDEX IF NOT EXISTS ix_batches_process ON batches (process, last_frame);
CREATE TABLE IF NOT EXISTS words (
    id INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, name TEXT NOT NULL, body BLOB NOT NULL,
    UNIQUE (kind, name)
);
"""


P = ParamSpec("P")
T = TypeVar("T")


class SpoolError(Exception):
    """The file cannot be used now; nothing of the call is kept."""


class SpoolDamagedError(Exception):
    """The file held something else than was written; it has another name now, and a new spool can begin.

    Whoever goes on must ask the database how far each stream got.
    """


@dataclass(frozen=True, slots=True)
class Newest:
    """How far a process's stream got in the spool."""

    last_frame: int
    produced: int


def _guarded(method: Callable[Concatenate[Spool, P], T]) -> Callable[Concatenate[Spool, P], T]:
    @functools.wraps(method)
    def guarded(spool: Spool, /, *args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return method(spool, *args, **kwargs)
        except (sqlite3.Error, OSError, zlib.error, msgspec.MsgspecError) as error:
            # This very class says "malformed" or "not a database"; its heirs are about the moment.
            if type(error) is sqlite3.DatabaseError or isinstance(error, zlib.error | msgspec.MsgspecError):
                try:
                    aside = spool.set_aside()
                except OSError as refused:
                    raise SpoolError(f"it is damaged ({error}) and cannot be renamed ({refused})") from error
                raise SpoolDamagedError(f"the spool was damaged ({error}); it is {aside} now") from error
            raise SpoolError(str(error)) from error

    return guarded


class Spool:
    """The batches of one host for one database, oldest first.

    The file is made with the first batch and removed with the last one. Only the recorder opens it for
    writing.

    Args:
        path: The file; its folder is made when needed.
        capacity_bytes: Above this, the oldest raw records go.

    Raises:
        SpoolError, SpoolDamagedError: from any method but the constructor.
    """

    def __init__(self, path: Path, capacity_bytes: int = CAPACITY_BYTES) -> None:
        self.path = path
        self._capacity_bytes = capacity_bytes
        self._open: sqlite3.Connection | None = None
        self.is_empty = not path.is_file()
        if not self.is_empty:
            self._look()

    @_guarded
    def append(self, writes: Sequence[StreamWrite]) -> None:
        """Keep *writes* behind what is kept already."""
        now = time.time()
        rows = []
        for write in writes:
            records, rest = encode(write)
            rows.append(
                (write.process, write.previous_frame + 1, write.last_frame, now, write.records,
                 write.produced, records, rest)
            )  # fmt: skip
        added = sum(len(row[6]) + len(row[7]) for row in rows)
        connection = self._connection()
        with _transaction(connection):
            excess = _used_bytes(connection) + added - self._capacity_bytes
            if excess > 0:
                self._evict(connection, excess)
            connection.executemany(
                "INSERT INTO batches (process, first_frame, last_frame, spooled_at, count, produced, records,"
                " rest) VALUES (?,?,?,?,?,?,?,?)",
                rows,
            )
        self.is_empty = False

    @_guarded
    def oldest(self, most_records: int) -> list[tuple[int, StreamWrite]]:
        """Return the oldest batches with their numbers, as many as hold about *most_records* records."""
        if self.is_empty:
            return []
        found, count = [], 0
        for row in self._connection().execute(
            "SELECT id, count, records, rest FROM batches ORDER BY id LIMIT 500"
        ):
            found.append((int(row[0]), decode(row[2], row[3])))
            count += row[1]
            if count >= most_records:
                break
        return found

    @_guarded
    def remove(self, numbers: Sequence[int]) -> None:
        """Forget the batches with these *numbers*, which are the oldest."""
        connection = self._connection()
        with _transaction(connection):
            connection.execute("DELETE FROM batches WHERE id <= ?", (numbers[-1],))
        self._look_whether_empty()

    @_guarded
    def say(self, kind: str, name: str, body: bytes) -> None:
        """Keep a message about the run or process *name*; a repeated one takes the older one's place."""
        connection = self._connection()
        with _transaction(connection):
            connection.execute(
                "INSERT INTO words (kind, name, body) VALUES (?,?,?)"
                " ON CONFLICT (kind, name) DO UPDATE SET body = excluded.body",
                (kind, name, body),
            )
        self.is_empty = False

    @_guarded
    def words(self, kind: str) -> list[tuple[str, bytes]]:
        """Return what was said of *kind*, in order: (name, message)."""
        if self.is_empty:
            return []
        rows = self._connection().execute("SELECT name, body FROM words WHERE kind = ? ORDER BY id", (kind,))
        return [(str(name), bytes(body)) for name, body in rows]

    @_guarded
    def unsay(self, kind: str, name: str) -> None:
        """Forget a message."""
        connection = self._connection()
        with _transaction(connection):
            connection.execute("DELETE FROM words WHERE kind = ? AND name = ?", (kind, name))
        self._look_whether_empty()

    @_guarded
    def newest(self, process: str) -> Newest | None:
        """Return how far a process's stream got in here, or None."""
        if self.is_empty:
            return None
        row = (
            self._connection()
            .execute(
                "SELECT last_frame, produced FROM batches WHERE process = ? ORDER BY last_frame DESC LIMIT 1",
                (process,),
            )
            .fetchone()
        )
        return None if row is None else Newest(int(row[0]), int(row[1]))

    @_guarded
    def waiting(self) -> tuple[int, int]:
        """Return how many batches and raw records wait."""
        if self.is_empty:
            return 0, 0
        row = self._connection().execute(
            "SELECT count(*), coalesce(sum(CASE WHEN records IS NULL THEN 0 ELSE count END), 0) FROM batches"
        )
        batches, records = row.fetchone()
        return int(batches), int(records)

    @_guarded
    def numbers(self) -> list[int]:
        """Return the numbers of all batches, newest first."""
        if self.is_empty:
            return []
        return [row[0] for row in self._connection().execute("SELECT id FROM batches ORDER BY id DESC")]

    @_guarded
    def packed(self, number: int) -> tuple[bytes | None, bytes] | None:
        """Return a batch as it lies there, records and rest; None: it waits no more."""
        if self.is_empty:
            return None
        found = self._connection().execute("SELECT records, rest FROM batches WHERE id = ?", (number,))
        row: tuple[bytes | None, bytes] | None = found.fetchone()
        return row

    @_guarded
    def replace(self, number: int, records: bytes | None, rest: bytes, count: int) -> None:
        """Put a batch of *count* records in the place of an older form, of which no byte stays."""
        connection = self._connection()
        connection.execute("PRAGMA secure_delete = ON")
        with _transaction(connection):
            connection.execute(
                "UPDATE batches SET records = ?, rest = ?, count = ? WHERE id = ?",
                (records, rest, count, number),
            )

    @_guarded
    def shrink(self) -> int:
        """Cut off some of the pages of batches that went, and empty the log; return how many are left."""
        if self.is_empty:
            return 0
        connection = self._connection()
        # `execute` would stop after the first page.
        connection.executescript(f"PRAGMA incremental_vacuum({_PAGES_AT_ONCE})")
        left = connection.execute("PRAGMA freelist_count").fetchone()[0]
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        return int(left)

    def set_aside(self) -> Path:
        """Give the file another name, so that a new spool can begin; return it."""
        self.close()
        aside = self._free_name()
        for end in ("", "-wal", "-shm"):
            with contextlib.suppress(FileNotFoundError):
                os.rename(f"{self.path}{end}", f"{aside}{end}")
        self.is_empty = True
        return aside

    @_guarded
    def put_aside(self, process: str) -> Path:
        """Move the batches of a process that no database takes to a file of their own; return it."""
        columns = "process, first_frame, last_frame, spooled_at, count, produced, records, rest"
        mine = self._connection()
        rows = mine.execute(
            f"SELECT {columns} FROM batches WHERE process = ? ORDER BY id",  # noqa: S608 - our own names
            (process,),
        ).fetchall()
        other = Spool(self._free_name(), self._capacity_bytes)
        theirs = other._connection()
        with _transaction(theirs):
            theirs.executemany(f"INSERT INTO batches ({columns}) VALUES (?,?,?,?,?,?,?,?)", rows)  # noqa: S608
        other.close()
        with _transaction(mine):
            mine.execute("DELETE FROM batches WHERE process = ?", (process,))
        self._look_whether_empty()
        return other.path

    def close(self) -> None:
        """Let go of the file."""
        if self._open is not None:
            self._open.close()
            self._open = None

    def _free_name(self) -> Path:
        number = int(time.time())
        while (path := self.path.with_name(f"{self.path.name}.{number}")).exists():
            number += 1
        return path

    def _connection(self) -> sqlite3.Connection:
        if self._open is None:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600)
            os.close(descriptor)
            connection = sqlite3.connect(self.path, timeout=3, isolation_level=None)
            try:
                connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
                connection.execute("PRAGMA journal_mode = WAL")
                connection.execute("PRAGMA synchronous = NORMAL")
                connection.executescript(_SCHEMA)
            except BaseException:
                connection.close()
                raise
            self._open = connection
        return self._open

    def _look(self) -> None:
        try:
            self.waiting()
            self._look_whether_empty()
        except SpoolDamagedError as error:
            logger.error("%s", error)
        except (SpoolError, sqlite3.Error, OSError):
            self.close()

    def _look_whether_empty(self) -> None:
        connection = self._connection()
        row = connection.execute("SELECT EXISTS (SELECT 1 FROM batches) OR EXISTS (SELECT 1 FROM words)")
        self.is_empty = not row.fetchone()[0]
        if self.is_empty:
            self.close()
            for name in (self.path, Path(f"{self.path}-wal"), Path(f"{self.path}-shm")):
                name.unlink(missing_ok=True)

    def _evict(self, connection: sqlite3.Connection, excess: int) -> None:
        """Drop the oldest raw records, *excess* bytes and some more, so that not every batch has to."""
        wanted = excess + self._capacity_bytes * _ROOM_SHARE
        freed = 0
        last = 0
        for number, size in connection.execute(
            "SELECT id, length(records) FROM batches WHERE records IS NOT NULL ORDER BY id"
        ):
            if freed >= wanted:
                break
            last, freed = number, freed + size
        connection.execute("UPDATE batches SET records = NULL WHERE id <= ?", (last,))


def _used_bytes(connection: sqlite3.Connection) -> int:
    """Return how much of the file is in use; a page that was freed is used again."""
    pages, free, size = (
        connection.execute(f"PRAGMA {name}").fetchone()[0]
        for name in ("page_count", "freelist_count", "page_size")
    )
    return int((pages - free) * size)


@contextlib.contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
