"""After an erasure the bytes of a SQLite file hold nothing of what was deleted."""

from __future__ import annotations

import sqlite3
from collections.abc import Generator
from contextlib import closing
from pathlib import Path
from typing import Any, TypeVar

import pytest
from batches import Feed, lean, opened_writer
from sqlalchemy import Connection, delete

from streamlab_plugin.core.errors import InfrastructureError
from streamlab_plugin.store import residue, tables
from streamlab_plugin.store.engine import open_store
from streamlab_plugin.store.migrate import migrate

T = TypeVar("T")
WORD = "Zqcanary-0000000000001"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A database of 500 records, of which every tenth has the word."""
    path = tmp_path / "streamlab.db"
    url = f"sqlite:///{path}"
    migrate(open_store(url, read_only=False))
    feed = Feed()
    with closing(opened_writer(url, "p-1")) as writer:
        rows = [lean(feed.keys, n, payload=f'["{"x" if n % 10 else WORD}"]') for n in range(1, 501)]
        writer.write([feed.write(lean_rows=rows)])
    return path


@pytest.fixture
def connection(path: Path) -> Any:
    """The recorder's connection to it."""
    with open_store(f"sqlite:///{path}", read_only=False).connect() as connection:
        yield connection


def done(steps: Generator[str, None, T]) -> T:
    """Go through steps and return the result."""
    for _ in range(10_000):
        try:
            next(steps)
        except StopIteration as end:
            result: T = end.value
            return result
    raise AssertionError("too many steps")


def held(path: Path) -> int:
    """Return how often database, log and its index hold the word."""
    return sum(file.read_bytes().count(WORD.encode()) for file in path.parent.glob(f"{path.name}*"))


def forget(connection: Connection, first: int, last: int) -> None:
    """Delete the rows that have the word."""
    column = tables.records.c
    with connection.begin():
        connection.execute(
            delete(tables.records).where(column.payload.contains(WORD), column.seq.between(first, last))
        )


class TestResidue:
    """`overwriting`, `empty_log`, `search` and `rewrite`."""

    def test_deleted_rows_are_overwritten(self, path: Path, connection: Connection) -> None:
        """Once the log is emptied, which may hold older pages, no byte of them is left."""
        assert done(residue.search(path, [WORD]))
        with residue.overwriting(connection):
            forget(connection, 1, 500)
        assert done(residue.empty_log(connection))
        assert not done(residue.search(path, ["nobody", WORD]))
        assert 0 == held(path)

    def test_older_copies(self, path: Path, connection: Connection) -> None:
        """What SQLite only forgot, earlier or when it split a page, goes when the file is written anew."""
        connection.connection.driver_connection.execute("PRAGMA secure_delete = OFF").fetchall()
        forget(connection, 1, 250)
        with residue.overwriting(connection):
            forget(connection, 251, 500)
        assert done(residue.empty_log(connection))
        assert done(residue.search(path, ["nobody", WORD]))
        done(residue.rewrite(connection))
        assert done(residue.empty_log(connection))
        assert 0 == held(path)

    def test_across_the_edge_of_a_block(self, tmp_path: Path) -> None:
        """A word is found wherever it stands in a large file."""
        for place in (0, (4 << 20) - 10, (4 << 20) - 1, (8 << 20) + 3):
            (file := tmp_path / "large").write_bytes(b"-" * place + WORD.encode())
            assert done(residue.search(file, [WORD]))
            assert not done(residue.search(file, [WORD.lower()]))

    def test_a_file_that_cannot_be_read(self, tmp_path: Path) -> None:
        """That is no answer."""
        with pytest.raises(InfrastructureError, match="could not be searched"):
            done(residue.search(tmp_path / "none", [WORD]))

    def test_a_reader(self, path: Path, connection: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
        """One that is at work keeps the log; it is waited for, for a while, and nobody is held up."""
        monkeypatch.setattr(residue, "_MOST_TURNS", 3)
        with closing(sqlite3.connect(path, isolation_level=None)) as reader:
            reader.execute("BEGIN")
            reader.execute("SELECT count(*) FROM records").fetchone()
            with residue.overwriting(connection):
                forget(connection, 1, 500)
            assert not done(residue.empty_log(connection))
            reader.execute("COMMIT")
            assert done(residue.empty_log(connection))
        # Nothing of this outlasts it.
        checkpoint = connection.exec_driver_sql("PRAGMA wal_autocheckpoint").scalar_one()
        assert checkpoint == 8_000
        patience_ms = connection.exec_driver_sql("PRAGMA busy_timeout").scalar_one()
        assert patience_ms == 3_000
