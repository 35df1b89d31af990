"""Send away the records of a whole day at once on PostgreSQL, where a day has a partition of its own.

Dropping a partition costs the same however many rows it has and leaves no dead ones behind. It is done only
while every run of the day is over and, if they are archived, each of its rows is in a file; else the rows of
its processes are deleted.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from typing import Any

import psycopg
from sqlalchemy import Connection, Select, exists, func, select, text
from sqlalchemy.exc import OperationalError

from streamlab_plugin.store import partition, tables
from streamlab_plugin.store.archive_entry import set_done
from streamlab_plugin.store.cleanup_report import Tally
from streamlab_plugin.store.retention import DAY_S, RECORDS, Part, Policy, Unit
from streamlab_plugin.store.unit_cleanup import Copy, Steps, UnitCleanup

_COUNTED_AT_ONCE = 100_000
_DROP_ATTEMPTS = 3
# As long as a drop waits, everybody who wants to read or write records waits behind it.
_DROP_PATIENCE = "100ms"


class DayCleanup:
    """Drop days that are over; where that cannot be, archive and delete process by process.

    Args:
        connection: The recorder's; between the steps it has no transaction open.
        units: What goes through single processes.
        tally: Where it counts what it does.
    """

    def __init__(self, connection: Connection, units: UnitCleanup, tally: Tally) -> None:
        self._connection = connection
        self._units = units
        self._tally = tally

    def clean(self, policy: Policy, part: Part, day: int, units: Sequence[Unit]) -> Steps:
        """Send away what *units* have of *day*.

        Drop the day's partition where all of it is too old, and archived; else go unit by unit.
        """
        with self._connection.begin():
            is_over = self._is_over(part, day)
        if is_over:
            rows, copies = 0, dict[int, Copy]()
            for unit in units if policy.archive else ():
                copy = yield from self._units.copy(policy.kind, part, unit)
                if copy is not None:
                    copies[unit.id] = copy
                # Of one that was begun earlier nobody knows what has been stored since.
                is_over = is_over and copy is not None and copy.is_new
                rows += copy.entry.rows if copy is not None else 0
            if policy.archive:
                units = [unit for unit in units if unit.id in copies]
            else:
                for unit in units:
                    rows += yield from self._counted(unit)
            if is_over and (yield from self._drop(part, day, copies if policy.archive else None)):
                self._tally.deleted[policy.kind] += rows
                yield f"{policy.kind}: {rows:,} rows dropped with their day"
                return
        for unit in units:
            yield from self._units.clean(policy, part, unit)

    def drop_empty(self, part: Part, before: float) -> Steps:
        """Drop the partitions of days that ended *before*, are over and hold nothing."""
        with self._connection.begin():
            found = partition.names(self._connection)
        days = (name.rpartition("_")[2] for name in found)
        for day in (int(one) for one in days if one.isdigit()):
            if (day + 1) * DAY_S < before:
                with self._connection.begin():
                    is_over = self._is_over(part, day) and not self._connection.scalar(_holds(day))
                if is_over and (yield from self._drop(part, day, {})):
                    yield f"{RECORDS}: an empty day dropped"

    def _drop(self, part: Part, day: int, copies: Mapping[int, Copy] | None) -> Generator[str, None, bool]:
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

    def _is_covered(self, day: int, copies: Mapping[int, Copy] | None) -> bool:
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


def _holds(day: int) -> Select[Any]:
    return select(exists().where(tables.records.c.run_day == day))
