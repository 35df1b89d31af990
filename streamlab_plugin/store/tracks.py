"""The cumulative rows of ``tracks``: which numbers of each stream a process has sent or got.

Tracks stay in memory while their process is written; those that another recorder wrote are read back before
something is added to them.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, select

from streamlab_plugin.detect.delivery import UNTRACKED
from streamlab_plugin.detect.track import Track
from streamlab_plugin.store import tables
from streamlab_plugin.store.batch import Numbers

Name = tuple[str, str, str]
"""Role, stream, subscriber."""


class Tracks:
    """The tracks of one process.

    Args:
        process_id: Whose.
        is_resumed: Whether rows may be stored that this object has not seen.
    """

    def __init__(self, process_id: int, *, is_resumed: bool) -> None:
        self._process_id = process_id
        self._is_resumed = is_resumed
        self._held: dict[Name, tuple[int, Track]] = {}

    def add(self, connection: Connection, added: Sequence[Numbers]) -> list[tuple[Any, ...]]:
        """Add what came, whose series have their ids, and return the rows that changed, but for the process.

        Reads on *connection*. What fails in between leaves this object unusable.
        """
        if self._is_resumed:
            self._load(connection)
        for one in added:
            _series, track = self._held.setdefault(one[:3], (one.series.id or 0, Track()))
            for first, last in zip(one.bounds[::2], one.bounds[1::2], strict=True):
                if one.stream == UNTRACKED:
                    track.count += last - first + 1
                else:
                    track.add(first, last)
        return [self._row(name) for name in dict.fromkeys(one[:3] for one in added)]

    def _load(self, connection: Connection) -> None:
        column = tables.tracks.c
        rows = connection.execute(select(tables.tracks).where(column.process_id == self._process_id))
        self._held = {(row.role, row.stream, row.subscriber): (row.series_id, track_of(row)) for row in rows}
        self._is_resumed = False

    def _row(self, name: Name) -> tuple[Any, ...]:
        series_id, track = self._held[name]
        spans = json.dumps(track.spans, separators=(",", ":"))
        return (*name, series_id, track.count, track.duplicates, track.reordered, track.forgotten, spans)


def track_of(row: Row[Any]) -> Track:
    """Return the track that a row of the table stands for."""
    spans = [(first, last) for first, last in json.loads(row.spans)]
    # A row is a tuple, whose own `count` is a method.
    return Track(spans, row._mapping["count"], row.duplicates, row.reordered, row.forgotten)
