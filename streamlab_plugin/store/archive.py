"""Archive files: what leaves the database, one file for the rows of one process, as gzip JSON Lines.

A file has its final name only once it is whole and on the disk. The same rows give the same bytes, so writing
one again after a crash does no harm.
"""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import os
import zlib
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec

from streamlab_plugin.store.url import fingerprint

CHUNK_ROWS = 1_000
CHUNK_BYTES = 1024 * 1024  # before compression; rows may carry payloads of many kilobytes
SUFFIX = ".jsonl.gz"
PARTIAL = ".part"
_DAY_S = 86400
# A large file goes to the disk in parts, so that the last flush does not take long.
_FLUSH_BYTES = 4 * 1024 * 1024
_READ_BYTES = 128 * 1024
_LEVEL = 6


@dataclass(frozen=True, slots=True)
class Written:
    """A whole file: its sha256 is that of the compressed bytes."""

    path: Path
    sha256: str
    rows: int
    size_bytes: int


def archive_folder(url: str, environment: Mapping[str, str] = os.environ) -> Path:
    """Return the absolute path of the folder for the archives of the database at *url*.

    It is ``STREAMLAB_ARCHIVE_DIR``, or else one per database in ``$XDG_STATE_HOME`` or ``~/.local/state``.
    """
    if chosen := environment.get("STREAMLAB_ARCHIVE_DIR"):
        return Path(chosen).expanduser().absolute()
    state = environment.get("XDG_STATE_HOME") or "~/.local/state"
    return Path(state).expanduser().absolute() / "streamlab" / "archive" / fingerprint(url)


def archive_path(folder: Path, kind: str, run_day: int, unit: str) -> Path:
    """Return where the file of *unit* is; the day is that on which the run began."""
    day = datetime.fromtimestamp(run_day * _DAY_S, UTC).strftime("%Y-%m-%d")
    # The unit's name comes from a Locust process: it must not lead out of the folder.
    return folder / kind / day / f"{quote(unit, safe='')}{SUFFIX}"


def make_folder(folder: Path) -> None:
    """Make *folder* and what is missing above it, for the owner alone.

    Raises:
        OSError: it cannot be made.
    """
    for one in reversed([folder, *folder.parents]):
        if not one.exists():
            one.mkdir(mode=0o700, exist_ok=True)
            _sync_folder(one.parent)


class ArchiveFile:
    """A file on its way; without `finish`, or `seal` and `publish`, nothing is left under its final name.

    Args:
        path: The final name; an older file of that name is replaced.

    Raises:
        OSError: from any method, the folder or file cannot be made or written.
    """

    def __init__(self, path: Path) -> None:
        make_folder(path.parent)
        self._path = path
        self._partial = path.with_name(path.name + PARTIAL)
        self._raw = _HashedFile(self._partial)
        # No name and no time in the header: the bytes depend on the rows alone.
        self._gzip = gzip.GzipFile(filename="", mode="wb", compresslevel=_LEVEL, fileobj=self._raw, mtime=0)
        self._rows = 0

    def add(self, rows: Sequence[Mapping[str, Any]]) -> int:
        """Append *rows*, one line each; return their size in bytes before compression."""
        return self.add_lines([_encode(row) + b"\n" for row in rows])

    def add_lines(self, lines: Sequence[bytes]) -> int:
        """Append *lines* as they are; return their size in bytes before compression."""
        text = b"".join(lines)
        self._gzip.write(text)
        self._rows += len(lines)
        if self._raw.unsynced_bytes > _FLUSH_BYTES:
            self._raw.sync()
        return len(text)

    def finish(self) -> Written:
        """Bring everything to the disk, then give the file its name."""
        written = self.seal()
        self.publish()
        return written

    def seal(self) -> Written:
        """Bring everything to the disk; nothing can be added any more."""
        self._gzip.close()
        self._raw.sync()
        self._raw.close()
        return Written(self._path, self._raw.sha256.hexdigest(), self._rows, self._raw.size_bytes)

    def publish(self) -> None:
        """Give the file its name."""
        os.replace(self._partial, self._path)
        # The file's name is in its folder, and the folders that may be new have theirs in those above.
        for folder in list(self._path.parents)[:3]:
            _sync_folder(folder)

    def discard(self) -> None:
        """Give up: close and remove what was written."""
        self._raw.close()
        self._partial.unlink(missing_ok=True)


class _HashedFile:
    """The bytes below gzip, counted and hashed on their way."""

    def __init__(self, path: Path) -> None:
        self._fd: int | None = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        self.sha256 = hashlib.sha256()
        self.size_bytes = 0
        self.unsynced_bytes = 0

    def write(self, data: bytes) -> int:
        assert self._fd is not None
        view = memoryview(data)
        while view:
            view = view[os.write(self._fd, view) :]
        self.sha256.update(data)
        self.size_bytes += len(data)
        self.unsynced_bytes += len(data)
        return len(data)

    def flush(self) -> None:
        """Nothing is held back."""

    def sync(self) -> None:
        assert self._fd is not None
        os.fsync(self._fd)
        self.unsynced_bytes = 0

    def close(self) -> None:
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None


def verify(path: Path, sha256: str, rows: int) -> str | None:
    """Read a file back; return why it is not the one that was written, or None."""
    steps = verifying(path, sha256, rows)
    while True:
        try:
            next(steps)
        except StopIteration as end:
            reason: str | None = end.value
            return reason


def verifying(path: Path, sha256: str, rows: int) -> Generator[str, None, str | None]:
    """Do the same as `verify` in short steps, with a line after each."""
    found, lines = hashlib.sha256(), 0
    inflate = zlib.decompressobj(wbits=31)  # gzip, with its checksum
    try:
        with path.open("rb") as file:
            while data := file.read(_READ_BYTES):
                found.update(data)
                while data:
                    lines += inflate.decompress(data, CHUNK_BYTES).count(b"\n")
                    data = inflate.unconsumed_tail
                    yield f"reading {path.name} back"
        lines += inflate.flush().count(b"\n")
    except OSError as error:
        return f"the archive {path} cannot be read ({error.strerror})"
    except zlib.error:
        return f"the archive {path} is damaged (no gzip)"
    if found.hexdigest() != sha256 or not inflate.eof:
        return f"the archive {path} is damaged (its sha256 is not {sha256[:12]}…)"
    if lines != rows:
        return f"the archive {path} has {lines} rows, not {rows}"
    return None


def remove(path: Path) -> None:
    """Delete a file, and its day's folder if it was the last; one that is not there is fine.

    Raises:
        OSError: it cannot be deleted.
    """
    with contextlib.suppress(FileNotFoundError):
        path.unlink()
        _sync_folder(path.parent)
    with contextlib.suppress(OSError):
        path.parent.rmdir()


def read_rows(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the rows of a file in order.

    Raises:
        OSError, EOFError, ValueError: the file is missing or damaged.
    """
    with gzip.open(path, "rb") as file:
        for line in file:
            yield msgspec.json.decode(line)


def read_lines(path: Path) -> Iterator[list[bytes]]:
    """Yield the lines of a file in chunks of bounded size.

    Raises:
        OSError, EOFError, zlib.error: the file is missing or damaged.
    """
    with gzip.open(path, "rb") as file:
        while lines := file.readlines(CHUNK_BYTES // 4):
            yield lines


def discard_partial(path: Path) -> None:
    """Remove what was left of writing *path*, which did not come to its end."""
    path.with_name(path.name + PARTIAL).unlink(missing_ok=True)


def read_keys(path: Path, names: Sequence[str]) -> Iterator[list[tuple[Any, ...]]]:
    """Yield the values of the columns *names*, row by row, in chunks of bounded size.

    Raises:
        OSError, EOFError, ValueError: the file is missing or damaged.
    """
    chunk: list[tuple[Any, ...]] = []
    size_bytes = 0
    with gzip.open(path, "rb") as file:
        for line in file:
            row = msgspec.json.decode(line)
            chunk.append(tuple(row[name] for name in names))
            size_bytes += len(line)
            if len(chunk) == CHUNK_ROWS or size_bytes > CHUNK_BYTES:
                yield chunk
                chunk, size_bytes = [], 0
    if chunk:
        yield chunk


_encode = msgspec.json.Encoder().encode


def _sync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
