"""Take a subject out of the archive files: they are written anew without its lines, the others as they were.

The new file is whole on the disk, and what it will be is stored, before it takes the old one's place; so
whatever interrupts that, the next attempt can tell which of the two is there.
"""

from __future__ import annotations

import hashlib
import time
import zlib
from collections.abc import Callable, Generator, Iterator, Mapping, Set
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote

import msgspec
from sqlalchemy import select, update

from streamlab_plugin.store import tables
from streamlab_plugin.store.archive import (
    PARTIAL,
    SUFFIX,
    ArchiveFile,
    Written,
    discard_partial,
    read_lines,
    verifying,
)
from streamlab_plugin.store.erasure_tally import ErasureTally, Steps
from streamlab_plugin.store.occurrence_eraser import Evidence, without
from streamlab_plugin.store.record_eraser import units
from streamlab_plugin.store.retention import OCCURRENCES, RECORDS

_UNREADABLE = (OSError, EOFError, zlib.error, msgspec.DecodeError)

Change = Callable[[bytes], bytes]
"""Returns a line as it shall be: itself, another, or nothing."""


class _File(NamedTuple):
    """An archive; ``id`` is None for one that no row knows: its rows are still in their table."""

    id: int | None
    kind: str
    path: Path
    sha256: str
    rows: int


class _Line(msgspec.Struct):
    """What has to be known of any line; records have a number, occurrences a message and exemplars."""

    process: str
    seq: int | None = None
    message: str = ""
    exemplars: msgspec.Raw = msgspec.Raw(b"[]")


class ArchiveEraser:
    """The files of ``archives``, and those in the folder that were written but not yet noted there.

    Args:
        tally: Where it finds and counts.
        folder: Where this host's archives are.
    """

    def __init__(self, tally: ErasureTally, folder: Path) -> None:
        self._tally = tally
        self._folder = folder
        self._connection = tally.connection
        self._holding: set[Path] = set()

    def find(self) -> Steps:
        """Add the numbers of the subject's archived records to what was found."""
        for file in self._files():
            if file.kind == RECORDS:
                yield from self._find_in(file)

    def erase(self) -> Steps:
        """Rewrite the files that have something of the subject: occurrences first, then records."""
        files = self._files()
        for file in files:
            if file.kind == OCCURRENCES:
                yield from self._erase(file, self._without_evidence)
        for file in files:
            if file.kind == RECORDS and file.path in self._holding:
                yield from self._erase(file, self._without_records)

    def repair(self, pending: Mapping[str, Any]) -> None:
        """Store that a file took its place just before an earlier attempt ended, or forget the plan."""
        path = Path(pending["path"])
        try:
            with path.open("rb") as file:
                is_done = hashlib.file_digest(file, "sha256").hexdigest() == pending["sha256"]
        except OSError:
            is_done = False
        discard_partial(path)
        if is_done:
            self._note(pending)
        else:
            self._tally.intend(None)

    def _find_in(self, file: _File) -> Steps:
        subject = self._tally.subject
        try:
            for lines in read_lines(file.path):
                for line in lines:
                    if subject.is_in_json(line):
                        self._holding.add(file.path)
                        found = _decode(line)
                        if found.seq is not None:
                            self._tally.found[found.process].add(found.seq)
                if self._tally.is_turn_over():
                    yield f"archives: reading {file.path.name}"
        except _UNREADABLE as error:
            self._skip(file, error)

    def _erase(self, file: _File, change: Change) -> Steps:
        """Rewrite one file if *change* has an effect on any of its lines."""
        try:
            changed = yield from self._changed(file, change)
            if not changed:
                return
            if self._tally.is_dry:
                self._tally.add(_counts(file, changed))
                return
            reason = None
            if file.id is not None:
                reason = yield from verifying(file.path, file.sha256, file.rows)
            if reason is not None:
                self._tally.skipped.append(reason)
                return
            yield from self._rewrite(file, change, changed)
        except _UNREADABLE as error:
            self._skip(file, error)

    def _changed(self, file: _File, change: Change) -> Generator[str, None, int]:
        changed = 0
        for lines in read_lines(file.path):
            changed += sum(change(line) != line for line in lines)
            if self._tally.is_turn_over():
                yield f"archives: reading {file.path.name}"
        return changed

    def _rewrite(self, file: _File, change: Change, changed: int) -> Steps:
        new = ArchiveFile(file.path)
        try:
            for lines in read_lines(file.path):
                new.add_lines([left for line in lines if (left := change(line))])
                if self._tally.is_turn_over():
                    yield f"archives: writing {file.path.name}"
            written = new.seal()
            yield f"archives: {file.path.name} is written aside"
            pending = _plan(file, written, changed)
            self._tally.intend(pending)
            yield f"archives: {file.path.name} is to take its place"
            new.publish()
            yield f"archives: {file.path.name} is in its place"
            self._note(pending)
            yield f"archives: {file.path.name} is noted"
        finally:
            new.discard()

    def _note(self, pending: Mapping[str, Any]) -> None:
        with self._connection.begin():
            if pending["id"] is not None:
                values = {name: pending[name] for name in ("sha256", "rows", "size_bytes")}
                self._connection.execute(
                    update(tables.archives).where(tables.archives.c.id == pending["id"]).values(values)
                )
            self._tally.add(pending["counts"])

    def _without_records(self, line: bytes) -> bytes:
        return b"" if self._tally.subject.is_in_json(line) else line

    def _without_evidence(self, line: bytes) -> bytes:
        seen = _decode(line)
        numbers: Set[int] = self._tally.found.get(seen.process, frozenset())
        new = without(Evidence(seen.message, bytes(seen.exemplars).decode()), self._tally.subject, numbers)
        if new is None:
            return line
        row = msgspec.json.decode(line, type=dict[str, msgspec.Raw])
        row["message"] = msgspec.Raw(msgspec.json.encode(new.message))
        row["exemplars"] = msgspec.Raw(new.exemplars.encode())
        return msgspec.json.encode(row) + b"\n"

    def _files(self) -> list[_File]:
        """Return what is to be searched, and remove what was begun and never finished."""
        column = tables.archives.c
        with self._connection.begin():
            rows = self._connection.execute(select(tables.archives).order_by(column.id)).all()
        now = time.time()
        noted = [
            _File(row.id, row.kind, Path(row.path), row.sha256, row.rows)
            for row in rows
            # A file whose time is up may have gone before its row.
            if row.expires_at > now or Path(row.path).exists()
        ]
        return [*noted, *self._strays({file.path for file in noted})]

    def _strays(self, noted: set[Path]) -> Iterator[_File]:
        ours = {unit.process for unit in units(self._connection)}
        for path in sorted(self._folder.rglob(f"*{SUFFIX}*")):
            process = unquote(path.name).rpartition(SUFFIX)[0].rpartition(".")[0]
            if process not in ours:
                continue  # of another database that shares the folder
            if path.name.endswith(PARTIAL):
                if not self._tally.is_dry:
                    path.unlink(missing_ok=True)
            elif path.name.endswith(SUFFIX) and path not in noted:
                yield _File(None, path.relative_to(self._folder).parts[0], path, "", 0)

    def _skip(self, file: _File, error: Exception) -> None:
        reason = getattr(error, "strerror", None) or "damaged"
        text = f"the archive {file.path} cannot be read ({reason})"
        if text not in self._tally.skipped:
            self._tally.skipped.append(text)


_decode = msgspec.json.Decoder(_Line).decode


def _plan(file: _File, written: Written, changed: int) -> dict[str, Any]:
    return {
        "place": "archive", "id": file.id, "path": str(file.path), "sha256": written.sha256,
        "rows": written.rows, "size_bytes": written.size_bytes, "counts": _counts(file, changed),
    }  # fmt: skip


def _counts(file: _File, changed: int) -> dict[str, int]:
    return {f"archived_{file.kind}": changed}
