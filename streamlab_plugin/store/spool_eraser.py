"""Take a subject out of the batches that wait in this host's spools, also in those that were put aside.

The newest batch comes first: exemplars name records of their own batch or of earlier ones, and those must
still be there to be found when an erasure that was interrupted goes on.
"""

from __future__ import annotations

import contextlib
import sqlite3
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from sqlalchemy import exists, select

from streamlab_plugin.store import tables
from streamlab_plugin.store.batch import LeanRow, Row
from streamlab_plugin.store.erasure_tally import ErasureTally, Steps
from streamlab_plugin.store.occurrence_eraser import Evidence, without
from streamlab_plugin.store.retention import find_unit
from streamlab_plugin.store.spool import Spool, SpoolDamagedError, SpoolError
from streamlab_plugin.store.spool_codec import Rest, pack, unpack

_FULL = tuple(Row._fields.index(name) for name in ("payload", "correlation_id", "stream"))
_LEAN = tuple(LeanRow._fields.index(name) for name in ("payload", "correlation_id"))
# The last columns of an occurrence, see store.batch.
_MESSAGE, _EXEMPLARS = -2, -1


class _Change(NamedTuple):
    """What a batch becomes; ``witness`` is a record that goes, if any does."""

    records: bytes | None
    rest: bytes
    records_left: int
    counts: Mapping[str, int]
    witness: int | None
    process: str


class SpoolEraser:
    """The spool of a recorder, and the files beside it that once were its spool.

    Args:
        tally: Where it finds and counts.
        spool: The recorder's.
    """

    def __init__(self, tally: ErasureTally, spool: Spool) -> None:
        self._tally = tally
        self._spool = spool

    def find(self) -> Steps:
        """Add the numbers of the subject's records that wait to what was found."""
        for path in self._paths():
            with self._opened(path) as spool:
                for number in [] if spool is None else spool.numbers():
                    packed = spool.packed(number) if spool is not None else None
                    if packed is not None:
                        rows, rest = unpack(*packed)
                        self._note(rest.process, self._numbers(rows))
                    if self._tally.is_turn_over():
                        yield f"spool: reading {path.name}"

    def erase(self) -> Steps:
        """Rewrite the batches that have something of the subject."""
        for path in self._paths():
            with self._opened(path) as spool:
                for number in [] if spool is None else spool.numbers():
                    assert spool is not None
                    yield from self._erase_batch(spool, path, number)
                    if self._tally.is_turn_over():
                        yield f"spool: {self._tally.counts['spooled_records']:,} records erased"

    def repair(self, pending: Mapping[str, Any]) -> None:
        """Count a batch that was rewritten just before an earlier attempt ended, or forget the plan."""
        with self._opened(Path(pending["path"])) as spool:
            packed = None if spool is None else spool.packed(pending["number"])
            if packed is not None:
                is_done = self._change(packed) is None
            else:
                is_done = pending["witness"] is not None and not self._is_stored(pending)
        if is_done:
            with self._tally.connection.begin():
                self._tally.add(pending["counts"])
        else:
            self._tally.intend(None)

    def shrink(self) -> Steps:
        """Leave no bytes of batches that went."""
        for path in self._paths():
            with self._opened(path) as spool:
                before, left = sys.maxsize, 0 if spool is None else spool.shrink()
                while spool is not None and 0 < left < before:
                    yield f"spool: giving back the space of {path.name}"
                    before, left = left, spool.shrink()

    def _note(self, process: str, numbers: set[int]) -> None:
        if not numbers:
            return
        self._tally.found[process].update(numbers)
        self._tally.waiting[process].update(numbers)
        if self._tally.is_dry:
            self._tally.add({"spooled_records": len(numbers)})

    def _erase_batch(self, spool: Spool, path: Path, number: int) -> Steps:
        while (packed := spool.packed(number)) is not None and (change := self._change(packed)) is not None:
            if self._tally.is_dry:
                self._tally.add({**change.counts, "spooled_records": 0})  # they were counted when found
                return
            self._tally.intend(
                {"place": "spool", "path": str(path), "number": number, "process": change.process,
                 "witness": change.witness, "counts": dict(change.counts)}
            )  # fmt: skip
            yield f"spool: batch {number} is to change"
            # Meanwhile it may have been stored, or its records had to make room.
            if spool.packed(number) != packed:
                self._tally.intend(None)
                continue
            spool.replace(number, change.records, change.rest, change.records_left)
            yield f"spool: batch {number} has changed"
            with self._tally.connection.begin():
                self._tally.add(change.counts)
            yield f"spool: batch {number} is counted"

    def _change(self, packed: tuple[bytes | None, bytes]) -> _Change | None:
        rows, rest = unpack(*packed)
        numbers = self._numbers(rows)
        known = self._tally.found.get(rest.process, set()) | numbers
        counts = {
            "spooled_records": len(numbers),
            "spooled_occurrences": self._trim(rest, known),
            "spooled_tracks": self._untrack(rest),
        }
        if not any(counts.values()):
            return None
        if rows is not None:
            rows = [[row for row in some if row[0] not in numbers] for some in rows]
            rest.count -= len(numbers)
            rest.erased += len(numbers)
        witness = min(numbers, default=None)
        return _Change(*pack(rows, rest), rest.count, counts, witness, rest.process)

    def _numbers(self, rows: list[Any] | None) -> set[int]:
        subject = self._tally.subject
        found = set[int]()
        for some, (payload, *ids) in zip(rows or (), (_FULL, _LEAN), strict=False):
            found.update(
                row[0]
                for row in some
                if subject.is_any_of(*(row[place] for place in ids)) or subject.is_in_json(row[payload] or "")
            )
        return found

    def _trim(self, rest: Rest, numbers: set[int]) -> int:
        """Take the subject out of the batch's occurrences and return how many changed."""
        changed = 0
        for place, row in enumerate(rest.occurrences):
            new = without(Evidence(row[_MESSAGE], row[_EXEMPLARS]), self._tally.subject, numbers)
            if new is not None:
                rest.occurrences[place] = (*row[:_MESSAGE], *new)
                changed += 1
        return changed

    def _untrack(self, rest: Rest) -> int:
        is_any_of = self._tally.subject.is_any_of
        left = [one for one in rest.numbers if not is_any_of(one[1], one[2])]
        gone = len(rest.numbers) - len(left)
        rest.numbers = left
        return gone

    def _is_stored(self, pending: Mapping[str, Any]) -> bool:
        connection, column = self._tally.connection, tables.records.c
        with connection.begin():
            unit = find_unit(connection, pending["process"])
            if unit is None:
                return False
            where = (
                column.run_day == unit.run_day, column.process_id == unit.id,
                column.seq == pending["witness"],
            )  # fmt: skip
            return bool(connection.scalar(select(exists().where(*where))))

    def _paths(self) -> Iterator[Path]:
        path = self._spool.path
        seen = {path}
        yield path
        # Batches may be put aside while the others are gone through.
        while fresh := sorted(set(path.parent.glob(f"{path.name}.*")) - seen):
            seen.update(fresh)
            yield from (one for one in fresh if one.suffix[1:].isdigit())

    @contextlib.contextmanager
    def _opened(self, path: Path) -> Iterator[Spool | None]:
        """Open a spool; None, and noted, if it cannot be read."""
        if path == self._spool.path:
            yield self._spool
            return
        if (problem := _problem(path)) is not None:
            self._skip(path, problem)
            yield None
            return
        spool = Spool(path)
        try:
            yield spool
        except (SpoolError, SpoolDamagedError) as error:
            self._skip(path, str(error))
        finally:
            spool.close()

    def _skip(self, path: Path, problem: str) -> None:
        text = f"the spool {path} cannot be read ({problem}); delete it if it is of no use"
        if text not in self._tally.skipped:
            self._tally.skipped.append(text)


def _problem(path: Path) -> str | None:
    """Return why a file is no spool, without a change to it."""
    try:
        with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=1)) as connection:
            connection.execute("SELECT count(*) FROM batches").fetchone()
    except sqlite3.Error as error:
        return str(error)
    return None
