"""The one writing connection of a recorder: batches in, each in one transaction, each at most once.

A stream's batch is stored only if the stream is still where the batch begins; so whatever was interrupted,
repeated or answered too late can be written again.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from typing import Any

from sqlalchemy import Connection, Engine, and_, or_, select, update

from streamlab_plugin.store import tables
from streamlab_plugin.store.batch import Key, StreamWrite, joined
from streamlab_plugin.store.buckets import Buckets
from streamlab_plugin.store.bulk import Bulk, bulk_for
from streamlab_plugin.store.failure import POISON_ERRORS, poison_reason
from streamlab_plugin.store.partition import ensure_partition
from streamlab_plugin.store.tracks import Tracks
from streamlab_plugin.store.upsert import insert

logger = logging.getLogger(__name__)

# Keys that are stored with one statement; older SQLite takes at most 999 parameters.
_KEYS_AT_ONCE = 100
_LARGEST = 2**63 - 1


class UnknownProcessError(LookupError):
    """A batch belongs to a process that this database has never heard of."""

    def __init__(self, process: str) -> None:
        super().__init__(f"process {process} is not in this database")
        self.process = process


class _Stored:
    """What the writer remembers of a process."""

    __slots__ = ("buckets", "id", "last_frame", "privacy", "tracks")

    def __init__(self, ident: int, last_frame: int, privacy: dict[str, int]) -> None:
        self.id = ident
        self.last_frame = last_frame
        self.privacy = privacy
        self.buckets = Buckets(ident, is_resumed=last_frame > 0)
        self.tracks = Tracks(ident, is_resumed=last_frame > 0)


class Writer:
    """Write batches; every method is one transaction (but for the names of series, shapes and errors).

    Raises:
        DATABASE_ERRORS: the database is out of reach or refused; nothing of the call is stored. A writer that
            has failed stays usable when its connection does.
    """

    def __init__(self, engine: Engine) -> None:
        self.connection: Connection = engine.connect()
        try:
            self._bulk: Bulk = bulk_for(self.connection)
        except BaseException:
            self.connection.close()
            raise
        self._processes: dict[str, _Stored] = {}
        self._ids: dict[tuple[str, tuple[str, ...]], int] = {}

    def close(self) -> None:
        """Let go of the connection; SQLite's write-ahead log goes into the database first."""
        try:
            if self.connection.dialect.name == "sqlite":
                driver: Any = self.connection.connection.driver_connection
                driver.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        finally:
            self.connection.close()

    def abandon(self) -> None:
        """Let go of a connection that has failed, without waiting for anything."""
        self.connection.invalidate()
        self.connection.close()

    def round_trip_s(self) -> float:
        """Return how long the database takes to answer a question that costs nothing, in seconds."""
        began = time.monotonic()
        with self.connection.begin():
            self.connection.execute(select(1))
        return time.monotonic() - began

    def write(self, writes: Sequence[StreamWrite]) -> None:
        """Store *writes* in one transaction; a stream that is already further is skipped.

        A row that the database refuses is put into ``quarantine`` and does not hold up the others.

        Raises:
            UnknownProcessError: a process was never opened in this database; nothing is stored.
        """
        self._register(key for write in writes for key in write.keys)
        try:
            self._transact(writes, self._insert)
        except POISON_ERRORS as error:
            _raise_if_lost(self.connection, error)
            for write in writes:
                self._write_alone(write)

    def _write_alone(self, write: StreamWrite) -> None:
        try:
            self._transact([write], self._sift)
        except POISON_ERRORS as error:
            # Not a record but what was counted over them: better to store the totals than to stand still.
            _raise_if_lost(self.connection, error)
            logger.error("%d records were put aside: %s", write.records, poison_reason(error))
            self._transact([write.without_rows()], self._insert)

    def _transact(self, writes: Sequence[StreamWrite], store: Callable[[int, StreamWrite], int]) -> None:
        touched: set[str] = set()
        try:
            with self.connection.begin():
                for process, part in _by_process(writes).items():
                    touched.add(process)
                    if len(part) == 1 or not self._store_joined(part, store):
                        for write in part:
                            self._store(write, store)
        except BaseException:
            # What is remembered of them may be ahead of what is stored now.
            for process in touched:
                self._processes.pop(process, None)
            raise

    def _store_joined(self, writes: Sequence[StreamWrite], store: Callable[[int, StreamWrite], int]) -> bool:
        """Store the batches of one stream as a single one, since each costs several round trips.

        False: they do not all come right behind what is stored, and must be looked at one by one, because a
        batch is stored as a whole or not at all.
        """
        last_frame = self._known(writes[0]).last_frame
        fresh = [write for write in writes if write.last_frame > last_frame]
        adjoin = all(one.last_frame == other.previous_frame for one, other in pairwise(fresh))
        if not fresh or not adjoin or fresh[0].previous_frame < last_frame:
            return False
        return self._store(joined(fresh), store)

    def _store(self, write: StreamWrite, store: Callable[[int, StreamWrite], int]) -> bool:
        """Store a batch, unless the stream is further already."""
        known = self._known(write)
        if not self._advance(known, write):
            return False
        if write.rows or write.lean:
            refused = store(known.id, write)
            if refused:
                self._count_refused(known.id, refused)
        if write.deltas:
            self._bulk.rollups(known.id, known.buckets.add(self.connection, write.deltas))
        if write.numbers:
            self._bulk.tracks(known.id, known.tracks.add(self.connection, write.numbers))
        if write.occurrences:
            self._bulk.occurrences(known.id, write.occurrences)
        if write.gauges:
            self._bulk.gauges(known.id, write.gauges)
        return True

    def _known(self, write: StreamWrite) -> _Stored:
        """Return what is stored of the stream, from memory if the batch comes right behind that."""
        known = self._processes.get(write.process)
        if known is None or known.last_frame != write.previous_frame:
            # Unless it is a repetition, another writer has been at it, and the rollups are not as remembered.
            known = self._recall(write.process, write.run_day)
        return known

    def _recall(self, process: str, run_day: int) -> _Stored:
        # Made when the run was opened; but a day's partition may have been dropped since.
        ensure_partition(self.connection, run_day)
        table = tables.processes.c
        row = self.connection.execute(
            select(table.id, table.last_frame, table.privacy).where(table.process == process)
        ).one_or_none()
        if row is None:
            raise UnknownProcessError(process)
        known = self._processes[process] = _Stored(row.id, row.last_frame, json.loads(row.privacy))
        return known

    def _advance(self, known: _Stored, write: StreamWrite) -> bool:
        """Move the stream's totals on, or return False when it is not where *write* begins."""
        for name, count in write.privacy.items():
            known.privacy[name] = known.privacy.get(name, 0) + count
        table = tables.processes
        values: dict[str, Any] = {
            "last_frame": write.last_frame,
            "produced": write.produced,
            "stored": table.c.stored + write.records,
            "quarantined": table.c.quarantined + write.quarantined,
            "evicted": table.c.evicted + write.evicted,
            "dropped": json.dumps(write.dropped),
            "privacy": json.dumps(known.privacy),
            "users": write.users,
            "seen_at": write.seen_at,
        }
        if write.erased:
            values |= {
                "stored": table.c.stored + write.records + write.erased,
                "erased": table.c.erased + write.erased,
            }
        if write.arrivals:
            values["arrivals"] = json.dumps(write.arrivals)
        if write.clock is not None:
            values["clock"] = json.dumps(write.clock)
        if write.closed_at is not None:
            values |= {"state": "closed", "closed_at": write.closed_at, "users": 0}
        matches = (table.c.id == known.id) & (table.c.last_frame <= write.previous_frame)
        if self.connection.execute(update(table).where(matches).values(values)).rowcount == 1:
            known.last_frame = write.last_frame
            return True
        # Another recorder, or an answer that came too late, has stored it: look again next time.
        del self._processes[write.process]
        return False

    def _insert(self, process_id: int, write: StreamWrite) -> int:
        self._bulk.records(write.run_day, process_id, write.rows, write.lean)
        return 0

    def _sift(self, process_id: int, write: StreamWrite) -> int:
        """Insert what can be inserted, halving what fails until the refused rows stand alone."""
        parts = [(rows, is_lean) for rows, is_lean in ((write.rows, False), (write.lean, True)) if rows]
        refused = 0
        while parts:
            rows, is_lean = parts.pop()
            try:
                with self.connection.begin_nested():
                    full, lean = ([], rows) if is_lean else (rows, [])
                    self._bulk.records(write.run_day, process_id, full, lean)
            except POISON_ERRORS as error:
                _raise_if_lost(self.connection, error)
                if len(rows) > 1:
                    middle = len(rows) // 2
                    parts += [(rows[middle:], is_lean), (rows[:middle], is_lean)]
                else:
                    self._quarantine(process_id, rows[0][0], poison_reason(error))
                    refused += 1
        return refused

    def _quarantine(self, process_id: int, seq: int, reason: str) -> None:
        # A number that is itself what the column refuses stands there as the largest one.
        number = max(-_LARGEST, min(seq, _LARGEST))
        values = {"process_id": process_id, "seq": number, "reason": reason, "noted_at": time.time()}
        statement = insert(self.connection, tables.quarantine).values(values)
        self.connection.execute(statement.on_conflict_do_nothing())

    def _count_refused(self, process_id: int, refused: int) -> None:
        table = tables.processes
        self.connection.execute(
            update(table)
            .where(table.c.id == process_id)
            .values(stored=table.c.stored - refused, quarantined=table.c.quarantined + refused)
        )

    def _register(self, keys: Iterable[Key]) -> None:
        """Give every key its integer, in a transaction of its own: a failed batch cannot take it back."""
        fresh: dict[str, dict[tuple[str, ...], list[Key]]] = {}
        for key in keys:
            if key.id is None:
                key.id = self._ids.get((key.kind, key.values))
            if key.id is None:
                fresh.setdefault(key.kind, {}).setdefault(key.values, []).append(key)
        for kind, by_values in fresh.items():
            # In order, so that recorders which meet here wait for each other instead of dead-locking.
            wanted = sorted(by_values)
            for at in range(0, len(wanted), _KEYS_AT_ONCE):
                for values, ident in self._stored_keys(kind, wanted[at : at + _KEYS_AT_ONCE]).items():
                    self._ids[kind, values] = ident
                    for key in by_values.get(values, ()):
                        key.id = ident

    def _stored_keys(self, kind: str, wanted: list[tuple[str, ...]]) -> dict[tuple[str, ...], int]:
        table = tables.metadata.tables[kind]
        columns = [column for column in table.columns if column.name != "id"]
        names = [column.name for column in columns]
        with self.connection.begin():
            rows = [dict(zip(names, values, strict=True)) for values in wanted]
            statement = insert(self.connection, table).values(rows)
            self.connection.execute(statement.on_conflict_do_nothing())
            matches = or_(
                *(and_(*(col == value for col, value in zip(columns, one, strict=True))) for one in wanted)
            )
            found = self.connection.execute(select(table.c.id, *columns).where(matches)).all()
        return {tuple(row[1:]): int(row[0]) for row in found}

    def mark_lost(self, process: str, at: float) -> None:
        """Say that a process vanished at *at* (epoch seconds) without closing its stream."""
        table = tables.processes
        with self.connection.begin():
            self.connection.execute(
                update(table)
                .where(table.c.process == process, table.c.state == "open")
                .values(state="lost", closed_at=at, users=0)
            )


def _by_process(writes: Iterable[StreamWrite]) -> dict[str, list[StreamWrite]]:
    found: dict[str, list[StreamWrite]] = {}
    for write in writes:
        found.setdefault(write.process, []).append(write)
    return found


def _raise_if_lost(connection: Connection, error: BaseException) -> None:
    """Raise *error* again when it is about the connection rather than about a value."""
    if connection.invalidated or connection.closed:
        raise error
