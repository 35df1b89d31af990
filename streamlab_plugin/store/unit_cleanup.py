"""Send away the rows of one process: into a file if they are archived, then out of their table.

What is archived is deleted row by row as the file holds it, and only while it is as it was when the file was
written. So nothing is lost, whatever is stored in between and wherever a crash comes.
"""

from __future__ import annotations

import zlib
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import ColumnElement, Connection, delete, exists, select, tuple_

from streamlab_plugin.store import tables
from streamlab_plugin.store.archive import (
    CHUNK_BYTES,
    CHUNK_ROWS,
    ArchiveFile,
    archive_path,
    read_keys,
    verifying,
)
from streamlab_plugin.store.archive_entry import Entry, note, set_done, unfinished, unsettled
from streamlab_plugin.store.archive_row import read_page
from streamlab_plugin.store.cleanup_report import Tally
from streamlab_plugin.store.retention import Part, Policy, Unit, find_unit

_FIRST_PAGE_ROWS = 200
_PARAMETERS = 900  # older SQLite takes at most 999
_UNREADABLE = (OSError, EOFError, ValueError, zlib.error)

Steps = Generator[str, None, None]


@dataclass(frozen=True, slots=True)
class Copy:
    """An archive that was read back.

    ``is_new`` is False where an earlier cleanup began it; ``stored`` is how far the process's stream was
    stored before its first row was read.
    """

    entry: Entry
    is_new: bool
    stored: tuple[int, int]


class UnitCleanup:
    """Archive and delete the rows of single processes.

    Args:
        connection: The recorder's; between the steps it has no transaction open.
        folder: Where files go.
        now: Epoch seconds, those of the cleanup.
        expires_at: Until when its files are kept.
        tally: Where it counts what it does.
    """

    def __init__(
        self, connection: Connection, folder: Path, now: float, expires_at: float, tally: Tally
    ) -> None:
        self._connection = connection
        self._folder = folder
        self._now = now
        self._expires_at = expires_at
        self._tally = tally

    def clean(self, policy: Policy, part: Part, unit: Unit) -> Steps:
        """Archive what is too old of *unit*, if the policy says so, and delete it."""
        if not policy.archive:
            yield from self.delete(policy.kind, part, unit)
            return
        # A second round where an archive of an earlier cleanup did not hold all that is too old now.
        for _round in range(2):
            copy = yield from self.copy(policy.kind, part, unit)
            if copy is not None:
                yield from self._delete_archived(policy.kind, part, unit, copy.entry)
            if copy is None or copy.is_new:
                return

    def copy(self, kind: str, part: Part, unit: Unit) -> Generator[str, None, Copy | None]:
        """Return an archive of *unit* that was read back; None: nothing is too old, or it is skipped.

        One that was begun by an earlier cleanup comes first: some of its rows may be there and nowhere else.
        """
        process = tables.processes.c
        with self._connection.begin():
            entry, name = unfinished(self._connection, kind, unit.process)
            stored = self._connection.execute(
                select(process.last_frame, process.stored).where(process.id == unit.id)
            ).one()
        is_new = entry is None
        if entry is None:
            entry = yield from self._archive(kind, part, unit, name)
            if entry is None:
                return None
        reason = yield from verifying(entry.path, entry.sha256, entry.rows)
        if reason is not None:
            self._tally.skip(kind, entry.unit, reason)
            return None
        return Copy(entry, is_new, (stored.last_frame, stored.stored))

    def _archive(self, kind: str, part: Part, unit: Unit, name: str) -> Generator[str, None, Entry | None]:
        """Write what is too old of *unit* into a file and note it; None: nothing, or it is skipped."""
        where = [*part.of(unit), part.rows, part.runs]
        file, after, limit, rows = None, None, _FIRST_PAGE_ROWS, 0
        try:
            while True:
                with self._connection.begin():
                    page = read_page(self._connection, part.table, part.key, where, after, limit)
                if page:
                    if file is None:
                        file = ArchiveFile(archive_path(self._folder, kind, unit.run_day, name))
                    size_bytes = file.add(page)
                    rows += len(page)
                    yield f"{kind}: {rows:,} rows of {name} archived"
                if file is None or len(page) < limit:
                    break
                after = [page[-1][column] for column in part.key]
                limit = max(1, min(CHUNK_ROWS, CHUNK_BYTES * len(page) // size_bytes))
            if file is None:
                return None
            written = file.finish()
        except OSError as error:
            self._tally.skip(kind, name, f"it cannot be archived in {self._folder} ({error.strerror})")
            return None
        finally:
            if file is not None:
                file.discard()
        yield f"{kind}: {name} written"
        with self._connection.begin():
            entry = note(
                self._connection, kind, name, written, made_at=self._now, expires_at=self._expires_at
            )
        if entry is None:
            self._tally.skip(kind, name, "another host has archived it at the same time")
            return None
        self._tally.archived[kind] += written.rows
        self._tally.files_made += 1
        yield f"{kind}: {name} noted"
        return entry

    def _delete_archived(self, kind: str, part: Part, unit: Unit, entry: Entry) -> Steps:
        """Delete the rows that the file holds, if they are still as they were, and no other."""
        statement = delete(part.table).where(*part.too_old(unit))
        try:
            for conditions in _contents(part, entry):
                with self._connection.begin():
                    for condition in conditions:
                        found = self._connection.execute(statement.where(condition))
                        self._tally.deleted[kind] += found.rowcount
                yield f"{kind}: {self._tally.deleted[kind]:,} rows deleted"
        except _UNREADABLE as error:
            self._tally.skip(kind, entry.unit, f"the archive {entry.path} cannot be read ({error})")
            return
        with self._connection.begin():
            set_done(self._connection, [entry.id])
        yield f"{kind}: {entry.unit} done"

    def delete(self, kind: str, part: Part, unit: Unit) -> Steps:
        """Delete what is too old of *unit*, oldest keys first."""
        key = tuple_(*(part.table.c[name] for name in part.key))
        where = part.too_old(unit)
        last = select(*key).where(*where).order_by(*key).offset(CHUNK_ROWS - 1).limit(1)
        while True:
            with self._connection.begin():
                bound = self._connection.execute(last).one_or_none()
                statement = delete(part.table).where(*where)
                if bound is not None:
                    statement = statement.where(key <= tuple_(*bound))
                self._tally.deleted[kind] += self._connection.execute(statement).rowcount
            yield f"{kind}: {self._tally.deleted[kind]:,} rows deleted"
            if bound is None:
                return

    def settle(self, kind: str, part: Part) -> Steps:
        """Set those archives to done whose rows went just before an earlier cleanup ended."""
        with self._connection.begin():
            written = unsettled(self._connection, kind)
        for process, entry in written:
            with self._connection.begin():
                unit = find_unit(self._connection, process)
            if unit is None:
                continue
            is_left = False
            try:
                for conditions in _contents(part, entry):
                    with self._connection.begin():
                        is_left = is_left or any(
                            self._connection.scalar(select(exists().where(*part.of(unit), condition)))
                            for condition in conditions
                        )
                    yield f"{kind}: looking for rows of {entry.unit}"
            except _UNREADABLE:
                continue  # reported when its rows were to be deleted
            if not is_left:
                with self._connection.begin():
                    set_done(self._connection, [entry.id])
                yield f"{kind}: {entry.unit} done"


def _contents(part: Part, entry: Entry) -> Iterator[list[ColumnElement[bool]]]:
    """Yield, chunk by chunk, conditions that the rows of an archive meet while they are as they were."""
    names = part.key if part.table is tables.records else (*part.key, "count")
    columns, size = part.table.c, _PARAMETERS // len(names)
    key, whole = tuple_(*(columns[name] for name in part.key)), tuple_(*(columns[name] for name in names))
    for rows in read_keys(entry.path, names):
        conditions: list[ColumnElement[bool]] = []
        for start in range(0, len(rows), size):
            some = rows[start : start + size]
            first, last = (tuple_(*one[: len(part.key)]) for one in (some[0], some[-1]))
            # The bounds let the primary key serve; the list alone would read all rows of the process.
            conditions.append((key >= first) & (key <= last) & whole.in_(some))
        yield conditions
