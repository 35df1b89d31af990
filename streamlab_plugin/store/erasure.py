"""The rows of ``erasures``: what was erased, when, by whom, and how far one that was interrupted had got.

Pseudonyms stand there only as long as an erasure needs them, and in hex, so that a search of the file for one
finds data and not the order to erase it. Their sha256 stays: whoever has a pseudonym can find its receipt.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, insert, select, update

from streamlab_plugin.privacy.subject import Subject, decode_pseudonym, encode_pseudonym
from streamlab_plugin.store import tables

UNFINISHED = "unfinished"  # it was interrupted, or is going on
INCOMPLETE = "incomplete"  # it came to its end, but something could not be searched
FINISHED = "finished"


@dataclass(frozen=True, slots=True)
class Erasure:
    """One erasure; times are epoch seconds, ``counts`` maps a place to the rows erased there."""

    id: int
    requested_at: float
    finished_at: float | None
    actor: str
    state: str
    digests: tuple[str, ...]
    pseudonyms: tuple[str, ...]
    counts: Mapping[str, int]
    pending: Mapping[str, Any] | None
    skipped: tuple[str, ...]

    @property
    def is_open(self) -> bool:
        """Whether something is left to do."""
        return self.state != FINISHED

    def to_dict(self) -> dict[str, Any]:
        """Return the receipt."""
        return {
            "id": self.id, "state": self.state, "requested_at": self.requested_at,
            "finished_at": self.finished_at, "actor": self.actor, "sha256": list(self.digests),
            "counts": dict(self.counts), "skipped": list(self.skipped),
        }  # fmt: skip


def begin(connection: Connection, pseudonyms: Sequence[str], actor: str, now: float) -> Erasure:
    """Store that a subject is to be erased, or return its erasure that did not come to its end.

    In the caller's transaction. One that is taken up again gets the pseudonyms that it did not know.
    """
    wanted = Subject(pseudonyms)
    for known in listed(connection):
        if known.is_open and not set(known.digests).isdisjoint(wanted.digests):
            both = Subject([*known.pseudonyms, *wanted.pseudonyms])
            save(connection, known.id, **_names(both))
            return find(connection, known.id)
    values = {"requested_at": now, "actor": actor, "state": UNFINISHED, **_names(wanted)}
    made = connection.execute(insert(tables.erasures).values(_storable(values)))
    assert made.inserted_primary_key is not None
    return find(connection, made.inserted_primary_key[0])


def find(connection: Connection, ident: int) -> Erasure:
    """Return one erasure."""
    return _erasure(connection.execute(select(tables.erasures).where(tables.erasures.c.id == ident)).one())


def listed(connection: Connection) -> list[Erasure]:
    """Return all erasures, the oldest first."""
    return [
        _erasure(row) for row in connection.execute(select(tables.erasures).order_by(tables.erasures.c.id))
    ]


def save(connection: Connection, ident: int, **values: Any) -> None:
    """Change the row of an erasure, in the caller's transaction; what is no text or number becomes JSON."""
    statement = update(tables.erasures).where(tables.erasures.c.id == ident)
    connection.execute(statement.values(_storable(values)))


def _storable(values: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: json.dumps(value, sort_keys=True) if isinstance(value, dict | list) else value
        for name, value in values.items()
    }


def _names(subject: Subject) -> dict[str, list[str]]:
    return {
        "digests": list(subject.digests),
        "pseudonyms": [decode_pseudonym(one).hex() for one in subject.pseudonyms],
    }


def _erasure(row: Row[Any]) -> Erasure:
    return Erasure(
        row.id, row.requested_at, row.finished_at, row.actor, row.state, tuple(json.loads(row.digests)),
        tuple(encode_pseudonym(bytes.fromhex(one)) for one in json.loads(row.pseudonyms or "[]")),
        json.loads(row.counts), None if row.pending is None else json.loads(row.pending),
        tuple(json.loads(row.skipped)),
    )  # fmt: skip
