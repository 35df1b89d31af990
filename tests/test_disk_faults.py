"""The disk faults, met by a real SQLite database in WAL mode."""

from __future__ import annotations

import errno
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import disk_faults
import pytest
from disk_faults import DiskFaultUnavailable, FaultyDisk

WRITER = """
import sqlite3, sys
db = sqlite3.connect(sys.argv[1], isolation_level=None)
db.execute("PRAGMA journal_mode = wal")
db.execute("PRAGMA synchronous = full")
db.execute("CREATE TABLE IF NOT EXISTS rows (body BLOB)")
for size in sys.stdin:
    try:
        db.execute("INSERT INTO rows VALUES (zeroblob(?))", (int(size),))
        print("stored", flush=True)
    except sqlite3.Error as error:
        print(error, flush=True)
"""

# What a program may do with paths, each in a folder where `old` exists; prints the errno of each.
PATHS = """
import os, sys
os.chdir(sys.argv[1])
folder = os.open(".", os.O_RDONLY)
def attempt(call, *arguments, **options):
    try:
        call(*arguments, **options)
        print(0)
    except OSError as error:
        print(error.errno)
attempt(open, "new", "w")
attempt(open, "old", "r+")
attempt(os.open, "new", os.O_CREAT | os.O_WRONLY, dir_fd=folder)
attempt(os.mkdir, "deep")
attempt(os.rename, "old", "new")
attempt(os.truncate, "old", 0)
attempt(os.unlink, os.path.abspath("old"))
attempt(open, "old")
"""


class Writer:
    """A child process that holds a database open and stores a row when told to."""

    def __init__(self, database: Path, environment: dict[str, str] | None = None) -> None:
        self.stored = 0
        self._child = subprocess.Popen(
            [sys.executable, "-c", WRITER, database], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            text=True, env={**os.environ, **(environment or {})},
        )  # fmt: skip

    def store(self, size: int = 100) -> str:
        """Store a row; return `stored` or SQLite's complaint."""
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        print(size, file=self._child.stdin, flush=True)
        answer = self._child.stdout.readline().strip()
        self.stored += answer == "stored"
        return answer

    def close(self) -> None:
        """End the child in order."""
        self._child.communicate(timeout=10)


def rows(database: Path) -> tuple[str, int]:
    """Return the result of the integrity check and the number of rows."""
    with closing(sqlite3.connect(database)) as connection:
        (integrity,) = connection.execute("PRAGMA integrity_check").fetchone()
        (count,) = connection.execute("SELECT count(*) FROM rows").fetchone()
    return integrity, count


def attempts(folder: Path, faulty: FaultyDisk) -> list[int]:
    """Try all of `PATHS` in *folder*; return the errno of each, 0 where it was done."""
    done = subprocess.run(
        [sys.executable, "-c", PATHS, folder], env={**os.environ, **faulty.environment()},
        check=True, stdout=subprocess.PIPE, text=True, timeout=10,
    )  # fmt: skip
    return [int(number) for number in done.stdout.split()]


@pytest.fixture
def faulty(tmp_path: Path) -> FaultyDisk:
    """A disk whose calls can be made to fail, at `tmp_path / "disk"`."""
    (tmp_path / "disk").mkdir()
    try:
        return FaultyDisk(tmp_path / "disk")
    except DiskFaultUnavailable as missing:
        pytest.skip(str(missing))


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A disk of 4 MiB."""
    try:
        with disk_faults.small_disk(tmp_path / "small", 4) as folder:
            yield folder
    except DiskFaultUnavailable as missing:
        pytest.skip(str(missing))


class TestFaultyDisk:
    @pytest.mark.parametrize(
        ("fault", "complaint"),
        [("EIO", "disk I/O error"), ("EROFS", "disk I/O error"), ("ENOSPC", "database or disk is full")],
    )
    def test_sqlite_fails_and_recovers(
        self, faulty: FaultyDisk, tmp_path: Path, fault: str, complaint: str
    ) -> None:
        """The very next statement fails, the first one after healing is stored, on the same connection."""
        database = tmp_path / "disk" / "streamlab.db"
        with closing(Writer(database, faulty.environment())) as writer:
            assert ("stored", 0) == (writer.store(), faulty.struck)
            faulty.fail(fault)  # type: ignore[arg-type]
            assert [complaint, complaint] == [writer.store(), writer.store()]
            assert faulty.struck > 0
            faulty.heal()
            assert "stored" == writer.store()
        assert ("ok", writer.stored) == rows(database)

    def test_other_folders_are_spared(self, faulty: FaultyDisk, tmp_path: Path) -> None:
        """Also one whose name begins with the same letters."""
        (tmp_path / "disk2").mkdir()
        faulty.fail("EIO")
        with closing(Writer(tmp_path / "disk2" / "streamlab.db", faulty.environment())) as writer:
            assert "stored" == writer.store()
        assert 0 == faulty.struck

    def test_a_read_only_disk_refuses_paths(self, faulty: FaultyDisk, tmp_path: Path) -> None:
        """Nothing is made, changed, renamed or removed, whatever the path looks like; reading works."""
        (tmp_path / "disk" / "old").touch()
        (tmp_path / "link").symlink_to(tmp_path / "disk")
        faulty.fail("EROFS")
        assert [errno.EROFS] * 7 + [0] == attempts(tmp_path / "link", faulty)
        assert ["old"] == os.listdir(tmp_path / "disk")

    def test_a_broken_disk_opens_and_removes(self, faulty: FaultyDisk, tmp_path: Path) -> None:
        """EIO and ENOSPC concern the bytes alone, so that a program meets them where it writes."""
        (tmp_path / "disk" / "old").touch()
        faulty.fail("EIO")
        assert [0, 0, 0, 0, 0] == attempts(tmp_path / "disk", faulty)[:5]
        assert ["deep", "new"] == sorted(os.listdir(tmp_path / "disk"))

    def test_without_a_compiler_it_says_so(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """The reason is fit for a skipped test."""
        disk_faults._library.cache_clear()
        monkeypatch.setenv("PATH", str(tmp_path))
        with pytest.raises(DiskFaultUnavailable, match="C compiler"):
            FaultyDisk(tmp_path)


class TestSmallDisk:
    def test_is_full_until_space_is_given_back(self, small: Path) -> None:
        """SQLite says so, keeps what it had, and goes on afterwards."""
        with closing(Writer(small / "streamlab.db")) as writer:
            assert "stored" == writer.store()
            assert disk_faults.fill(small) > 1 << 20
            assert "database or disk is full" == writer.store(500_000)
            disk_faults.free(small)
            assert "stored" == writer.store(500_000)
        assert ("ok", writer.stored) == rows(small / "streamlab.db")

    def test_read_only_until_it_is_writable_again(self, small: Path) -> None:
        """Not even root writes there."""
        disk_faults.remount_read_only(small)
        with pytest.raises(OSError, match="Read-only file system"):
            (small / "new").touch()
        disk_faults.remount_writable(small)
        (small / "new").touch()
        assert (small / "new").exists()

    def test_a_file_open_for_writing_keeps_it_writable(self, small: Path) -> None:
        """The kernel's own limit is told, not passed over."""
        with (small / "busy").open("w"), pytest.raises(DiskFaultUnavailable, match="busy"):
            disk_faults.remount_read_only(small)

    def test_goes_away_at_the_end(self, tmp_path: Path, small: Path) -> None:
        """Also while a file on it is open."""
        with disk_faults.small_disk(tmp_path / "other", 1) as folder:
            assert folder.is_mount()
            file = (folder / "open").open("w")
        assert not folder.is_mount()
        file.close()

    def test_the_machines_disk_is_not_filled(self, tmp_path: Path) -> None:
        """Filling needs a disk of its own."""
        with pytest.raises(ValueError, match="not a small disk"):
            disk_faults.fill(tmp_path)
