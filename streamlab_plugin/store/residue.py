"""What a SQLite file still holds of deleted rows, and how it goes.

A deleted row is overwritten, but a page that was once split may keep an older copy of a row in its unused
space, which SQLite overwrites only when it writes the file anew. So the file is searched for the letters
themselves, by a process of its own: closing a second handle of the file would drop this process's locks.
"""

from __future__ import annotations

import contextlib
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from streamlab_plugin.core.errors import InfrastructureError
from streamlab_plugin.store.failure import DATABASE_ERRORS, reason

_PAGES_AT_ONCE = 500
_POLL_S = 0.02
_SERIALIZED = 3  # threads may share a connection, see sqlite3.threadsafety
# A reader that is at work keeps the log; it is waited for so many turns.
_MOST_TURNS = 2_000

_WHILE_ERASING = {"secure_delete": 1, "wal_autocheckpoint": 500}

# Reads the words from standard input; exit code 10 when the file holds one. Standard library only, so that it
# is up at once.
_SEARCH = """
import sys
words = sys.stdin.buffer.read().split()
overlap = max(map(len, words)) - 1
tail = b""
with open(sys.argv[1], "rb") as file:
    while block := file.read(4 << 20):
        block = tail + block
        if any(word in block for word in words):
            sys.exit(10)
        tail = block[-overlap:]
"""
_FOUND = 10


@contextlib.contextmanager
def overwriting(connection: Connection) -> Generator[None, None, None]:
    """Have SQLite overwrite what is deleted meanwhile; the log is emptied in smaller, shorter parts."""
    driver = _driver(connection)
    before = {name: driver.execute(f"PRAGMA {name}").fetchone()[0] for name in _WHILE_ERASING}
    for name, value in _WHILE_ERASING.items():
        driver.execute(f"PRAGMA {name} = {value}").fetchall()
    try:
        yield
    finally:
        # A connection that was given up took its settings along.
        if not connection.closed and not connection.invalidated:
            for name, value in before.items():
                driver.execute(f"PRAGMA {name} = {value}").fetchall()


def empty_log(connection: Connection) -> Generator[str, None, bool]:
    """Give free pages back and bring the log into the file; return False if a reader kept that from being."""
    driver = _driver(connection)
    before = -1
    while (free := driver.execute("PRAGMA freelist_count").fetchone()[0]) not in (0, before):
        # `execute` would stop after the first page.
        driver.executescript(f"PRAGMA incremental_vacuum({_PAGES_AT_ONCE})")
        before = free
        yield f"giving back {free:,} free pages"
    patience_ms = driver.execute("PRAGMA busy_timeout").fetchone()[0]
    for _turn in range(_MOST_TURNS):
        driver.execute("PRAGMA busy_timeout = 0").fetchall()
        try:
            is_busy = driver.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
        finally:
            driver.execute(f"PRAGMA busy_timeout = {patience_ms}").fetchall()
        if not is_busy:
            return True
        yield "waiting for those who read the database"
    return False


def search(path: Path, words: Sequence[str]) -> Generator[str, None, bool]:
    """Return whether the bytes of a file hold one of *words*.

    Raises:
        InfrastructureError: The file cannot be read.
    """
    with subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", _SEARCH, str(path)],
        stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    ) as process:  # fmt: skip
        assert process.stdin is not None
        try:
            # Not as arguments: those are public.
            process.stdin.write(" ".join(words).encode("ascii"))
            process.stdin.close()
            while not _has_ended(process):
                yield f"searching {path.name}"
        finally:
            process.kill()
    if process.returncode not in (0, _FOUND):
        raise InfrastructureError(f"{path} could not be searched (exit code {process.returncode})")
    return process.returncode == _FOUND


def _has_ended(process: subprocess.Popen[bytes]) -> bool:
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(_POLL_S)
    return process.returncode is not None


def rewrite(connection: Connection) -> Generator[str, None, None]:
    """Write the file anew, without anything of what was deleted; nobody can write meanwhile.

    Raises:
        InfrastructureError: It failed, for want of room for instance; the file is as it was.
    """
    driver, failures = _driver(connection), list[str]()

    def work() -> None:
        try:
            driver.execute("VACUUM")
        except DATABASE_ERRORS as error:
            failures.append(reason(error))

    if sqlite3.threadsafety < _SERIALIZED:
        work()  # a library that was built so takes no call from a second thread
    else:
        thread = threading.Thread(target=work, name="streamlab-rewrite", daemon=True)
        thread.start()
        while thread.is_alive():
            thread.join(_POLL_S)
            yield "writing the database anew"
    if failures:
        raise InfrastructureError(f"the database could not be written anew: {failures[0]}")


def _driver(connection: Connection) -> Any:
    return connection.connection.driver_connection
