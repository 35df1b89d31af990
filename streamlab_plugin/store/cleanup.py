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
from collections.abc import Generator, Iterable, Mapping
from pathlib import Path

from sqlalchemy import Connection, delete, select

from streamlab_plugin.store import tables, upsert
from streamlab_plugin.store.archive import make_folder, remove
from streamlab_plugin.store.cleanup_report import Report, Tally
from streamlab_plugin.store.day_cleanup import DayCleanup
from streamlab_plugin.store.retention import (
    ARCHIVES,
    DAY_S,
    RECORDS,
    Part,
    Policy,
    Unit,
    parts,
    policies,
    units_page,
)
from streamlab_plugin.store.unit_cleanup import Steps, UnitCleanup

__all__ = ["Report", "alone", "cleanup"]

_VACUUM_PAGES = 500


def cleanup(connection: Connection, archive_folder: Path, now: float) -> Generator[str, None, Report]:
    """Delete what is too old at *now*, archive first what is to be archived; yield a line after each step.

    Args:
        connection: The recorder's; between the steps it has no transaction open.
        archive_folder: Where files go.
        now: Epoch seconds.

    Raises:
        sqlalchemy.exc.DBAPIError: the database is out of reach; a later cleanup goes on from here.
    """
    tally = Tally()
    with contextlib.ExitStack() as stack:
        problem = ""
        try:
            stack.enter_context(alone(archive_folder))
        except BlockingIOError:
            tally.skip("all", "", "another cleanup is going on")
            return tally.report()
        except OSError as error:
            problem = f"the archive folder {archive_folder} cannot be used ({error.strerror})"
        with connection.begin():
            wanted = policies(connection)
        work = _Cleanup(connection, archive_folder, now, wanted, tally)
        yield from work.expire()
        for policy in wanted.values():
            if policy.archive and problem:
                tally.skip(policy.kind, "", problem)
            elif policy.kind != ARCHIVES:
                yield from work.clean(policy)
        yield from work.shrink()
        work.note(wanted)
    return tally.report()


class _Cleanup:
    def __init__(
        self, connection: Connection, folder: Path, now: float, wanted: Mapping[str, Policy], tally: Tally
    ) -> None:
        self._connection = connection
        self._now = now
        self._is_postgresql = connection.dialect.name == "postgresql"
        self._tally = tally
        self._unit = UnitCleanup(connection, folder, now, now + wanted[ARCHIVES].days * DAY_S, tally)
        self._day = DayCleanup(connection, self._unit, tally)

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
                self._tally.skip(ARCHIVES, entry.unit, f"{entry.path} cannot be deleted ({error.strerror})")
                continue
            yield f"archives: deleted the file of {entry.unit}"
            with self._connection.begin():
                self._connection.execute(delete(tables.archives).where(column.id == entry.id))
            self._tally.deleted[ARCHIVES] += 1
            yield f"archives: {self._tally.deleted[ARCHIVES]:,} files expired"

    def clean(self, policy: Policy) -> Steps:
        """Go through one kind."""
        first, *others = parts(policy, self._now)
        units = yield from self._units(policy.kind, first)
        if policy.kind == RECORDS and self._is_postgresql:
            for day, group in itertools.groupby(units, lambda unit: unit.run_day):
                yield from self._day.clean(policy, first, day, list(group))
            yield from self._day.drop_empty(first, policy.cutoff(self._now))
        else:
            for unit in units:
                yield from self._unit.clean(policy, first, unit)
        for part in others:
            for unit in (yield from self._units(policy.kind, part)):
                yield from self._unit.delete(policy.kind, part, unit)
        if policy.archive:
            yield from self._unit.settle(policy.kind, first)

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


@contextlib.contextmanager
def alone(folder: Path) -> Generator[None, None, None]:
    """Keep everybody else who changes archives out of the folder; the lock ends with the process.

    Raises:
        BlockingIOError: Somebody is at it.
        OSError: The folder cannot be used.
    """
    make_folder(folder)
    fd = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(fd)
