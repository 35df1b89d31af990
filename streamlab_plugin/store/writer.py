"""The one writing connection of a recorder.

Bulk rows go through the driver (``executemany`` on raw sqlite3 stores 300,000 rows/s, SQLAlchemy's insert is
2 to 7 times slower); everything else through SQLAlchemy. Every write is idempotent: a stream's rows are
stored only if its ``last_frame`` is still the one they follow.
"""

from __future__ import annotations

import json
import os
import sqlite3
import time
from collections.abc import Iterable, Iterator
from typing import Any, cast

from sqlalchemy import Connection, Engine, select, update
from sqlalchemy.dialects.sqlite import insert

from streamlab_plugin.store import tables
from streamlab_plugin.store.batch import Key, StreamWrite

_RECORDS = "INSERT INTO records VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)"
_LEAN_RECORDS = (
    "INSERT INTO records (run_day, process_id, seq, series_id, started_at, latency_ms, size_bytes, shape_id,"
    " payload, outcome, status, correlation_id) VALUES (?,?,?,?,?,?,?,?,?,?,?,?)"
)
SLICE_ROWS = 128
_ROLLUPS = "INSERT OR REPLACE INTO rollups VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)"
_OCCURRENCES = "INSERT OR REPLACE INTO occurrences VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?)"
_GAUGES = "INSERT OR REPLACE INTO gauges VALUES (?,?,?)"


# sqlite3 searches an adapter for each None it binds, in vain and slowly; this one gives it back at once.
sqlite3.register_adapter(type(None), cast(Any, {}.get))


class Writer:
    """Write streams, rollups and findings; every method is one transaction.

    Raises:
        sqlalchemy.exc.DBAPIError, sqlite3.Error: the database refused; nothing of the call is stored.
    """

    def __init__(self, engine: Engine) -> None:
        self.connection: Connection = engine.connect()
        self._raw = cast(sqlite3.Connection, self.connection.connection.driver_connection)
        self._ids: dict[tuple[str, tuple[str, ...]], int] = {}

    def close(self) -> None:
        """Empty the write-ahead log into the database and let go of it."""
        try:
            self._raw.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        finally:
            self.connection.close()

    def write(self, writes: Iterable[StreamWrite]) -> None:
        """Store *writes* in one transaction; a stream that is already further is skipped."""
        with self.connection.begin():
            for write in writes:
                if self._advance(write):
                    self._store(write)

    def _advance(self, write: StreamWrite) -> bool:
        values: dict[str, Any] = {
            "last_frame": write.last_frame,
            "produced": write.produced,
            "stored": tables.processes.c.stored + len(write.rows) + len(write.lean),
            "quarantined": write.quarantined,
            "dropped": json.dumps(write.dropped),
            "privacy": json.dumps(write.privacy),
            "users": write.users,
        }
        if write.closed_at is not None:
            values |= {"state": "closed", "closed_at": write.closed_at, "users": 0}
        table = tables.processes
        matches = (table.c.id == write.process_id) & (table.c.last_frame == write.previous_frame)
        return self.connection.execute(update(table).where(matches).values(values)).rowcount == 1

    def _store(self, write: StreamWrite) -> None:
        day, process = write.run_day, write.process_id
        ident = self._ident
        for rows in _slices(write.rows):
            self._raw.executemany(
                _RECORDS,
                [
                    (
                        day, process, row[0], row[1].id or ident(row[1]), row[2], row[3], row[4], row[5],
                        row[6], row[7] and (row[7].id or ident(row[7])), row[8], row[9], row[10],
                        row[11] and (row[11].id or ident(row[11])),
                        row[12], row[13], row[14], row[15], row[16],
                    )
                    for row in rows
                ],
            )  # fmt: skip
        for rows in _slices(write.lean):
            self._raw.executemany(
                _LEAN_RECORDS,
                [
                    (
                        day, process, row[0], row[1].id or ident(row[1]), row[2], row[3], row[4],
                        row[5] and (row[5].id or ident(row[5])), row[6], row[7], row[8], row[9],
                    )
                    for row in rows
                ],
            )  # fmt: skip
        if write.rollups:
            self._raw.executemany(
                _ROLLUPS,
                ((process, row[0], row[1], row[2].id or ident(row[2]), *row[3:]) for row in write.rollups),
            )
        if write.occurrences:
            self._raw.executemany(_OCCURRENCES, ((process, *row) for row in write.occurrences))
        if write.gauges:
            self._raw.executemany(_GAUGES, ((process, *row) for row in write.gauges))

    def _ident(self, key: Key) -> int:
        """Return the integer of *key*, storing it on first use."""
        known = self._ids.get((key.kind, key.values))
        if known is None:
            table = tables.metadata.tables[key.kind]
            columns = [column for column in table.columns if column.name != "id"]
            values = dict(zip([column.name for column in columns], key.values, strict=True))
            self.connection.execute(insert(table).values(values).on_conflict_do_nothing())
            matches = [column == values[column.name] for column in columns]
            known = int(self.connection.execute(select(table.c.id).where(*matches)).scalar_one())
        key.id = known
        return known

    def load_rollup(self, process_id: int, period_s: int, start: int, series: Key) -> tuple[Any, ...] | None:
        """Return the stored cumulative row (columns after series_id), or None."""
        table = tables.rollups
        with self.connection.begin():
            row = self.connection.execute(
                select(*table.columns[4:]).where(
                    table.c.process_id == process_id,
                    table.c.period_s == period_s,
                    table.c.start == start,
                    table.c.series_id == (series.id or self._ident(series)),
                )
            ).one_or_none()
        return None if row is None else tuple(row)

    def mark_lost(self, process_id: int) -> None:
        """Say that a process vanished without closing its stream."""
        table = tables.processes
        with self.connection.begin():
            self.connection.execute(
                update(table)
                .where(table.c.id == process_id, table.c.state == "open")
                .values(state="lost", closed_at=time.time(), users=0)
            )


def _slices(rows: list[Any]) -> Iterator[list[Any]]:
    """Yield *rows* in parts, offering the processor to others before each (see recorder.stream)."""
    for start in range(0, len(rows), SLICE_ROWS):
        os.sched_yield()
        yield rows[start : start + SLICE_ROWS]
