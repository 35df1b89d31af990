"""Take a subject out of the occurrences of anomalies: out of their exemplars and their messages.

The counts stay: they say how often something was seen, not of whom. An exemplar goes if it names the subject
or one of the records that were found; so this comes before those records are deleted.
"""

from __future__ import annotations

from collections.abc import Set
from typing import NamedTuple

import msgspec
from sqlalchemy import select, tuple_, update

from streamlab_plugin.privacy.subject import Subject
from streamlab_plugin.store import tables
from streamlab_plugin.store.erasure_tally import ErasureTally, Steps
from streamlab_plugin.store.record_eraser import units

ERASED = "(erased)"
_PAGE_ROWS = 200
_SEEN = tables.occurrences.c


class _Exemplar(msgspec.Struct):
    seq: int | None = None


class Evidence(NamedTuple):
    """What an occurrence shows of single records: its message, and exemplars as JSON."""

    message: str
    exemplars: str


def without(evidence: Evidence, subject: Subject, numbers: Set[int]) -> Evidence | None:
    """Return the evidence without a subject's; None: there is nothing of it.

    Args:
        evidence: Of one process.
        subject: Who goes.
        numbers: Those of the subject's records in that process.
    """
    is_named = subject.is_in_text(evidence.message)
    if not (is_named or numbers or subject.may_be_in(evidence.exemplars.encode())):
        return None
    held = msgspec.json.decode(evidence.exemplars, type=list[msgspec.Raw])
    goes = [
        subject.is_in_json(bytes(one)) or msgspec.json.decode(one, type=_Exemplar).seq in numbers
        for one in held
    ]
    if not is_named and not any(goes):
        return None
    # The message is the first exemplar's.
    is_told = is_named or goes[:1] == [True]
    left = [one for one, does_go in zip(held, goes, strict=True) if not does_go]
    return Evidence(ERASED if is_told else evidence.message, msgspec.json.encode(left).decode())


class OccurrenceEraser:
    """The table ``occurrences``."""

    def __init__(self, tally: ErasureTally) -> None:
        self._tally = tally

    def erase(self) -> Steps:
        """Go through all occurrences."""
        for unit in units(self._tally.connection):
            after: tuple[str, int] | None = ("", -1)
            while after is not None:
                after = self._erase_page(unit.id, unit.process, after)
                if self._tally.is_turn_over():
                    yield f"occurrences: {self._tally.counts['occurrences']:,} changed"

    def _erase_page(self, process_id: int, process: str, after: tuple[str, int]) -> tuple[str, int] | None:
        key = tuple_(_SEEN.fingerprint, _SEEN.start)
        query = (
            select(_SEEN.fingerprint, _SEEN.start, _SEEN.message, _SEEN.exemplars)
            .where(_SEEN.process_id == process_id, key > tuple_(*after))
            .order_by(_SEEN.fingerprint, _SEEN.start)
            .limit(_PAGE_ROWS)
        )
        numbers: Set[int] = self._tally.found.get(process, frozenset())
        connection = self._tally.connection
        with connection.begin():
            rows = connection.execute(query).all()
            changed = 0
            for row in rows:
                new = without(Evidence(row.message, row.exemplars), self._tally.subject, numbers)
                if new is None:
                    continue
                changed += 1
                if not self._tally.is_dry:
                    where = (
                        _SEEN.process_id == process_id, _SEEN.fingerprint == row.fingerprint,
                        _SEEN.start == row.start,
                    )  # fmt: skip
                    connection.execute(update(tables.occurrences).where(*where).values(new._asdict()))
            if changed:
                self._tally.add({"occurrences": changed})
        return (rows[-1].fingerprint, rows[-1].start) if len(rows) == _PAGE_ROWS else None
