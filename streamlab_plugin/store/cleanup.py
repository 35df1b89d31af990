"""Send away what is too old, in steps so short that a recorder can do them between its other work.

A step is one transaction on at most `CHUNK_ROWS` rows; none is open while the caller has the turn. What is
archived leaves the table only after its file is on the disk, noted in ``archives`` and read back; and only
rows that the file holds. So a crash between any two steps loses nothing, and the next cleanup goes on there.
"""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import os
import zlib
from collections import Counter
from collections.abc import Generator, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psycopg
from sqlalchemy import ColumnElement, Connection, Select, delete, exists, func, select, text, tuple_
from sqlalchemy.exc import OperationalError

from streamlab_plugin.store import partition, tables, upsert
from streamlab_plugin.store.archive import (
    CHUNK_BYTES,
    CHUNK_ROWS,
    ArchiveFile,
    Entry,
    archive_path,
    make_folder,
    note,
    read_keys,
    read_page,
    remove,
    set_done,
    unfinished,
    unsettled,
    verifying,
)
from streamlab_plugin.store.retention import (
    ARCHIVES,
    DAY_S,
    KINDS,
    RECORDS,
    Part,
    Policy,
    Unit,
    find_unit,
    parts,
    policies,
    units_page,
)

_FIRST_PAGE_ROWS = 200
_COUNTED_AT_ONCE = 100_000
_PARAMETERS = 900  # older SQLite takes at most 999
_VACUUM_PAGES = 500
_DROP_ATTEMPTS = 3
# As long as a drop waits, everybody who wants to read or write records waits behind it.
_DROP_PATIENCE = "100ms"
_UNREADABLE = (OSError, EOFError, ValueError, zlib.error)

Steps = Generator[str, None, None]


@dataclass(frozen=True, slots=True)
class Skipped:
    """What stayed although it is too old."""

    kind: str
    unit: str
    reason: str


@dataclass(frozen=True, slots=True)
class Report:
    """What a cleanup did; ``deleted`` counts rows by kind like `due`, ``archived`` those put into files."""

    deleted: Mapping[str, int]
    archived: Mapping[str, int]
    files_made: int
    files_expired: int
    skipped: tuple[Skipped, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return it for JSON."""
        return asdict(self) | {"skipped": [asdict(one) for one in self.skipped]}


@dataclass(frozen=True, slots=True)
class _Copy:
    """An archive and how far the process's stream was stored before its first row was read."""

    entry: Entry
    stored: tuple[int, int]


def cleanup(connection: Connection, archive_folder: Path, now: float) -> Generator[str, None, Report]:
    """Delete what is too old at *now*, archive first what is to be archived; yield a line after each step.

    Args:
        connection: The recorder's; between the steps it has no transaction open.
        archive_folder: Where files go.
        now: Epoch seconds.

    Raises:
        sqlalchemy.exc.DBAPIError: the database is out of reach; a later cleanup goes on from here.
    """
    work = _Cleanup(connection, archive_folder, now)
    with contextlib.ExitStack() as stack:
        problem = ""
        try:
            stack.enter_context(_alone(archive_folder))
        except BlockingIOError:
            work.skip("all", "", "another cleanup is going on")
            return work.report()
        except OSError as error:
            problem = f"the archive folder {archive_folder} cannot be used ({error.strerror})"
        with connection.begin():
            wanted = policies(connection)
        yield from work.expire()
        for policy in wanted.values():
            if policy.archive and problem:
                work.skip(policy.kind, "", problem)
            elif policy.kind != ARCHIVES:
                yield from work.clean(policy, wanted[ARCHIVES])
        yield from work.shrink()
        work.note(wanted)
    return work.report()


class _Cleanup:
    def __init__(self, connection: Connection, folder: Path, now: float) -> None:
        self._connection = connection
        self._folder = folder
        self._now = now
        self._is_postgresql = connection.dialect.name == "postgresql"
        self._deleted = Counter(dict.fromkeys(KINDS, 0))
        self._archived: Counter[str] = Counter()
        self._files_made = 0
        self._skipped: list[Skipped] = []

    def report(self) -> Report:
        return Report(
            deleted=dict(self._deleted),
            archived=dict(self._archived),
            files_made=self._files_made,
            files_expired=self._deleted[ARCHIVES],
            skipped=tuple(self._skipped),
        )

    def skip(self, kind: str, unit: str, reason: str) -> None:
        self._skipped.append(Skipped(kind, unit, reason))

    def expire(self) -> Steps:
        """Delete the files whose time is up, then their rows: a row without a file is found again."""
        column, after = tables.archives.c, 0
        while True:
            with self._connection.begin():
                entry = self._connection.execute(
                    select(column.id, column.unit, column.path)
                    .where(column.expires_at < self._now, column.id > after)
                    .order_by(column.id)
                    .limit(1)
                ).one_or_none()
            if entry is None:
                return
            after = entry.id
            try:
                remove(Path(entry.path))
            except OSError as error:
                self.skip(ARCHIVES, entry.unit, f"{entry.path} cannot be deleted ({error.strerror})")
                continue
            yield f"archives: deleted the file of {entry.unit}"
            with self._connection.begin():
                self._connection.execute(delete(tables.archives).where(column.id == entry.id))
            self._deleted[ARCHIVES] += 1
            yield f"archives: {self._deleted[ARCHIVES]:,} files expired"

    def clean(self, policy: Policy, archives: Policy) -> Steps:
        """Go through one kind."""
        first, *others = parts(policy, self._now)
        expires_at = self._now + archives.days * DAY_S
        units = yield from self._units(policy.kind, first)
        if policy.kind == RECORDS and self._is_postgresql:
            for day, group in itertools.groupby(units, lambda unit: unit.run_day):
                yield from self._clean_day(policy, first, day, list(group), expires_at)
            yield from self._drop_empty(policy, first)
        else:
            for unit in units:
                yield from self._clean_unit(policy, first, unit, expires_at)
        for part in others:
            for unit in (yield from self._units(policy.kind, part)):
                yield from self._delete(policy.kind, part, unit)
        if policy.archive:
            yield from self._settle(policy.kind, first)

    def _units(self, kind: str, part: Part) -> Generator[str, None, list[Unit]]:
        """Return the processes with rows that are too old, by day."""
        found, after = list[Unit](), 0
        while True:
            with self._connection.begin():
                page, last = units_page(self._connection, part, after)
            found += page
            if last is None:
                return sorted(found, key=lambda unit: (unit.run_day, unit.id))
            after = last
            yield f"{kind}: looking for what is too old"

    def _clean_unit(self, policy: Policy, part: Part, unit: Unit, expires_at: float) -> Steps:
        if not policy.archive:
            yield from self._delete(policy.kind, part, unit)
            return
        # A second round where an archive of an earlier cleanup did not hold all that is too old now.
        for _round in range(2):
            copy, is_new = yield from self._copy(policy.kind, part, unit, expires_at)
            if copy is not None:
                yield from self._delete_archived(policy.kind, part, unit, copy.entry)
            if copy is None or is_new:
                return

    def _copy(
        self, kind: str, part: Part, unit: Unit, expires_at: float
    ) -> Generator[str, None, tuple[_Copy | None, bool]]:
        """Return an archive of the unit that was read back, and whether it is new.

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
            entry = yield from self._archive(kind, part, unit, name, expires_at)
            if entry is None:
                return None, is_new
        reason = yield from verifying(entry.path, entry.sha256, entry.rows)
        if reason is not None:
            self.skip(kind, entry.unit, reason)
            return None, is_new
        return _Copy(entry, (stored.last_frame, stored.stored)), is_new

    def _archive(
        self, kind: str, part: Part, unit: Unit, name: str, expires_at: float
    ) -> Generator[str, None, Entry | None]:
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
            self.skip(kind, name, f"it cannot be archived in {self._folder} ({error.strerror})")
            return None
        finally:
            if file is not None:
                file.discard()
        yield f"{kind}: {name} written"
        with self._connection.begin():
            entry = note(self._connection, kind, name, written, made_at=self._now, expires_at=expires_at)
        if entry is None:
            self.skip(kind, name, "another host has archived it at the same time")
            return None
        self._archived[kind] += written.rows
        self._files_made += 1
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
                        self._deleted[kind] += found.rowcount
                yield f"{kind}: {self._deleted[kind]:,} rows deleted"
        except _UNREADABLE as error:
            self.skip(kind, entry.unit, f"the archive {entry.path} cannot be read ({error})")
            return
        with self._connection.begin():
            set_done(self._connection, [entry.id])
        yield f"{kind}: {entry.unit} done"

    def _delete(self, kind: str, part: Part, unit: Unit) -> Steps:
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
                self._deleted[kind] += self._connection.execute(statement).rowcount
            yield f"{kind}: {self._deleted[kind]:,} rows deleted"
            if bound is None:
                return

    def _settle(self, kind: str, part: Part) -> Steps:
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

    def _clean_day(self, policy: Policy, part: Part, day: int, units: list[Unit], expires_at: float) -> Steps:
        """Drop the day's partition where all of it is too old, and archived; else go unit by unit."""
        with self._connection.begin():
            is_over = self._is_over(part, day)
        if is_over:
            rows, copies = 0, dict[int, _Copy]()
            for unit in units if policy.archive else ():
                copy, is_new = yield from self._copy(policy.kind, part, unit, expires_at)
                if copy is not None:
                    copies[unit.id] = copy
                # Of one that was begun earlier nobody knows what has been stored since.
                is_over = is_over and copy is not None and is_new
                rows += copy.entry.rows if copy is not None else 0
            if policy.archive:
                units = [unit for unit in units if unit.id in copies]
            else:
                for unit in units:
                    rows += yield from self._counted(unit)
            if is_over and (yield from self._drop(part, day, copies if policy.archive else None)):
                self._deleted[policy.kind] += rows
                yield f"{policy.kind}: {rows:,} rows dropped with their day"
                return
        for unit in units:
            yield from self._clean_unit(policy, part, unit, expires_at)

    def _drop_empty(self, policy: Policy, part: Part) -> Steps:
        """Drop the partitions of days that are over and hold nothing."""
        names = text(
            "SELECT relname FROM pg_inherits JOIN pg_class ON oid = inhrelid"
            " WHERE inhparent = to_regclass('records') ORDER BY relname"
        )
        with self._connection.begin():
            found = self._connection.scalars(names).all()
        days = (name.rpartition("_")[2] for name in found)
        for day in (int(one) for one in days if one.isdigit()):
            if (day + 1) * DAY_S < policy.cutoff(self._now):
                with self._connection.begin():
                    is_over = self._is_over(part, day) and not self._connection.scalar(_holds(day))
                if is_over and (yield from self._drop(part, day, {})):
                    yield f"{policy.kind}: an empty day dropped"

    def _drop(self, part: Part, day: int, copies: Mapping[int, _Copy] | None) -> Generator[str, None, bool]:
        """Drop a day's partition unless it is in use or holds rows without a copy (None: none is needed)."""
        for _attempt in range(_DROP_ATTEMPTS):
            try:
                with self._connection.begin():
                    self._connection.execute(text(f"SET LOCAL lock_timeout = '{_DROP_PATIENCE}'"))
                    # From here to the commit nobody stores a record; what was stored before is seen below.
                    self._connection.execute(text("LOCK TABLE ONLY records IN ACCESS EXCLUSIVE MODE"))
                    if not self._is_over(part, day) or not self._is_covered(day, copies):
                        return False
                    self._connection.execute(text(f"DROP TABLE IF EXISTS {partition.name(day)}"))
                    set_done(self._connection, [copy.entry.id for copy in (copies or {}).values()])
                    return True
            except OperationalError as error:
                if not isinstance(error.orig, psycopg.errors.LockNotAvailable):
                    raise
            yield f"{part.table.name}: a day is in use, waiting to drop it"
        return False

    def _is_over(self, part: Part, day: int) -> bool:
        run = tables.runs.c
        return not self._connection.scalar(select(exists().where(run.run_day == day, ~part.runs)))

    def _is_covered(self, day: int, copies: Mapping[int, _Copy] | None) -> bool:
        if copies is None:
            return True
        if not copies:
            return not self._connection.scalar(_holds(day))
        process, record = tables.processes.c, tables.records.c
        has_rows = exists().where(record.run_day == day, record.process_id == process.id)
        query = (
            select(process.id, process.last_frame, process.stored)
            .join_from(tables.processes, tables.runs, tables.runs.c.id == process.run_id)
            .where(tables.runs.c.run_day == day, has_rows)
        )
        return all(
            row.id in copies and copies[row.id].stored == (row.last_frame, row.stored)
            for row in self._connection.execute(query)
        )

    def _counted(self, unit: Unit) -> Generator[str, None, int]:
        """Return how many records a process has."""
        record = tables.records.c
        count, after = 0, -1
        while True:
            some = (
                select(record.seq)
                .where(record.run_day == unit.run_day, record.process_id == unit.id, record.seq > after)
                .order_by(record.seq)
                .limit(_COUNTED_AT_ONCE)
                .subquery()
            )
            with self._connection.begin():
                found, last = self._connection.execute(select(func.count(), func.max(some.c.seq))).one()
            count += int(found)
            if found < _COUNTED_AT_ONCE:
                return count
            after = last
            yield f"{RECORDS}: {count:,} rows counted"

    def shrink(self) -> Steps:
        """Give free pages of a SQLite file back to the file system."""
        if self._is_postgresql:
            return
        driver = self._connection.connection.driver_connection
        assert driver is not None
        before = 0
        while True:
            with self._connection.begin():
                free = int(self._connection.exec_driver_sql("PRAGMA freelist_count").scalar_one())
            if not free or free == before:
                return
            # A transaction of its own; `execute` would stop after the first page.
            driver.executescript(f"PRAGMA incremental_vacuum({_VACUUM_PAGES})")
            before = free
            yield f"giving back {free:,} free pages"

    def note(self, kinds: Iterable[str]) -> None:
        """Store that a cleanup has been here."""
        with self._connection.begin():
            for kind in kinds:
                statement = upsert.insert(self._connection, tables.retention)
                self._connection.execute(
                    statement.values(kind=kind, last_run_at=self._now).on_conflict_do_update(
                        index_elements=["kind"], set_={"last_run_at": self._now}
                    )
                )


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


def _holds(day: int) -> Select[Any]:
    return select(exists().where(tables.records.c.run_day == day))


@contextlib.contextmanager
def _alone(folder: Path) -> Generator[None, None, None]:
    """Keep a second cleanup out of the folder; the lock ends with the process."""
    make_folder(folder)
    fd = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(fd)
