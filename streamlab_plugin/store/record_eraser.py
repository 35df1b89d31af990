"""Find and delete a subject's records and tracks in the database.

Payloads have no index: the records of each process are read in stretches of its numbers, the database says
which hold the letters of a pseudonym, and of those the ones count in which it is a whole value.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import islice
from typing import Any

from sqlalchemy import ColumnElement, Connection, delete, func, or_, select, update

from streamlab_plugin.store import tables
from streamlab_plugin.store.erasure_tally import STEP_S, ErasureTally, Steps
from streamlab_plugin.store.retention import Unit, find_unit

_STRETCH = 1_000
_LONGEST_STRETCH = 8_000
_DELETED_AT_ONCE = 200

_RECORD = tables.records.c
_TRACK = tables.tracks.c


class RecordEraser:
    """The tables ``records`` and ``tracks``."""

    def __init__(self, tally: ErasureTally) -> None:
        self._tally = tally
        self._connection = tally.connection
        self._names = tally.subject.pseudonyms
        self._stretch = _STRETCH

    def find(self) -> Steps:
        """Add the numbers of the subject's records to what was found."""
        for unit in units(self._connection):
            after = -1
            while (first := self._next_number(unit, after)) is not None:
                began = time.monotonic()
                after = first + self._stretch - 1
                self._find_between(unit, first, after)
                self._adapt(time.monotonic() - began)
                if self._tally.is_turn_over():
                    yield f"records: {_total(self._tally):,} found"

    def _next_number(self, unit: Unit, after: int) -> int | None:
        query = select(func.min(_RECORD.seq)).where(*_of(unit), _RECORD.seq > after)
        with self._connection.begin():
            number: int | None = self._connection.scalar(query)
        return number

    def _find_between(self, unit: Unit, first: int, last: int) -> None:
        ids = or_(_RECORD.correlation_id.in_(self._names), _RECORD.stream.in_(self._names))
        is_meant = or_(contains(self._connection, _RECORD.payload, self._names), ids)
        query = select(_RECORD.seq, _RECORD.payload, _RECORD.correlation_id, _RECORD.stream).where(
            *_of(unit), _RECORD.seq.between(first, last), is_meant
        )
        subject = self._tally.subject
        with self._connection.begin():
            rows = self._connection.execute(query).all()
        found = [
            row.seq
            for row in rows
            if subject.is_any_of(row.correlation_id, row.stream) or subject.is_in_json(row.payload or "")
        ]
        if found:
            self._tally.found[unit.process].update(found)
            if self._tally.is_dry:
                # One that waited a moment ago was counted there.
                self._tally.add({"records": len(set(found) - self._tally.waiting[unit.process])})

    def _adapt(self, took_s: float) -> None:
        if took_s > STEP_S:
            self._stretch = max(100, self._stretch // 2)
        elif took_s < STEP_S / 4:
            self._stretch = min(_LONGEST_STRETCH, self._stretch * 2)

    def erase(self) -> Steps:
        """Delete what was found, and count for each process how much of what it stored is gone."""
        for process, numbers in sorted(self._tally.found.items()):
            with self._connection.begin():
                unit = find_unit(self._connection, process)
            if unit is None:
                continue  # only the spool knows it
            rest = iter(sorted(numbers))
            while some := list(islice(rest, _DELETED_AT_ONCE)):
                self._delete(unit, some)
                if self._tally.is_turn_over():
                    yield f"records: {self._tally.counts['records']:,} erased"

    def _delete(self, unit: Unit, numbers: list[int]) -> None:
        process = tables.processes.c
        with self._connection.begin():
            gone = self._connection.execute(
                delete(tables.records).where(*_of(unit), _RECORD.seq.in_(numbers))
            ).rowcount
            if gone:
                self._connection.execute(
                    update(tables.processes).where(process.id == unit.id).values(erased=process.erased + gone)
                )
                self._tally.add({"records": gone})

    def erase_tracks(self) -> Steps:
        """Delete the tracks of which the subject is the stream or the subscriber."""
        is_meant = or_(_TRACK.stream.in_(self._names), _TRACK.subscriber.in_(self._names))
        for unit in units(self._connection):
            where = (_TRACK.process_id == unit.id, is_meant)
            with self._connection.begin():
                if self._tally.is_dry:
                    gone = self._connection.scalar(select(func.count()).where(*where)) or 0
                else:
                    gone = self._connection.execute(delete(tables.tracks).where(*where)).rowcount
                if gone:
                    self._tally.add({"tracks": gone})
            if self._tally.is_turn_over():
                yield f"tracks: {self._tally.counts['tracks']:,} erased"


def units(connection: Connection) -> Iterator[Unit]:
    """Return all processes of the database, in their order."""
    process, run = tables.processes.c, tables.runs.c
    with connection.begin():
        rows = connection.execute(
            select(process.id, process.process, process.run_id, run.run_day)
            .join_from(tables.processes, tables.runs, run.id == process.run_id)
            .order_by(process.id)
        ).all()
    return (Unit(*row) for row in rows)


def contains(connection: Connection, column: Any, texts: tuple[str, ...]) -> ColumnElement[bool]:
    """Return the condition that *column* has one of *texts* in it, with regard to case."""
    place = func.strpos if connection.dialect.name == "postgresql" else func.instr
    return or_(*(place(column, text) > 0 for text in texts))


def _of(unit: Unit) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return _RECORD.run_day == unit.run_day, _RECORD.process_id == unit.id


def _total(tally: ErasureTally) -> int:
    return sum(len(numbers) for numbers in tally.found.values())
