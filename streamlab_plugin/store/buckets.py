"""The cumulative rows of ``rollups``: a batch's deltas are added to what is stored.

A record belongs to the second in which its exchange ended. The rows of the last two minutes stay in memory;
an older one, or one that another recorder wrote, is read back before something is added to it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, and_, func, or_, select

from streamlab_plugin.detect.sketch import Sketch
from streamlab_plugin.store import tables
from streamlab_plugin.store.batch import Delta

PERIODS_S = (1, 60, 3600)
# A bucket that ended this long before the newest one leaves memory.
KEEP_S = 120

_Column = tables.rollups.c
Name = tuple[int, int, int]
"""Period in seconds, start, series id."""


class RollupRow(NamedTuple):
    """One row of ``rollups`` except its process."""

    period_s: int
    start: int
    series_id: int
    requests: int
    errors: int
    timeouts: int
    interrupted: int
    answered: int
    latency_count: int
    latency_sum: float
    latency_min: float | None
    latency_max: float | None
    size_sum: int
    sketch: bytes | None
    response_sketch: bytes | None


class Bucket:
    """The growing form of a row."""

    __slots__ = ("counts", "latency_max", "latency_min", "latency_sum", "response", "sketch")

    def __init__(self, stored: Sequence[Any] | None = None) -> None:
        # requests, errors, timeouts, interrupted, answered, latency_count, size_sum
        self.counts = [0] * 7
        self.latency_sum = 0.0
        self.latency_min: float | None = None
        self.latency_max: float | None = None
        self.sketch = Sketch()
        self.response: Sketch | None = None
        if stored is not None:
            self.counts = [*stored[:6], stored[9]]
            self.latency_sum, self.latency_min, self.latency_max = stored[6:9]
            if stored[10]:
                self.sketch = Sketch.from_bytes(bytes(stored[10]))
            if stored[11]:
                self.response = Sketch.from_bytes(bytes(stored[11]))

    def add(self, delta: Delta) -> None:
        """Add what happened since."""
        added = len(delta.latencies_ms)
        counts = self.counts
        counts[0] += delta.requests
        counts[1] += delta.errors
        counts[2] += delta.timeouts
        counts[3] += delta.interrupted
        counts[4] += delta.answered
        counts[5] += added
        counts[6] += delta.size_sum
        if added:
            low, high = delta.latency_min, delta.latency_max
            assert low is not None
            assert high is not None
            self.latency_sum += delta.latency_sum
            self.latency_min = low if self.latency_min is None else min(low, self.latency_min)
            self.latency_max = high if self.latency_max is None else max(high, self.latency_max)
            responses = delta.responses_ms
            if responses is not None and self.response is None:
                # What came before had no schedule: its response times are its service times.
                self.response = Sketch.from_bytes(self.sketch.to_bytes())
            self.sketch.add(delta.latencies_ms)
            if self.response is not None:
                self.response.add(delta.latencies_ms if responses is None else responses)

    def row(self, name: Name) -> RollupRow:
        """Return the bucket as it shall be stored."""
        requests, errors, timeouts, interrupted, answered, latency_count, size_sum = self.counts
        return RollupRow(
            *name, requests, errors, timeouts, interrupted, answered, latency_count, self.latency_sum,
            self.latency_min, self.latency_max, size_sum, self.sketch.to_bytes() if latency_count else None,
            None if self.response is None else self.response.to_bytes(),
        )  # fmt: skip


class Buckets:
    """The rollups of one process, as far as the writer remembers them.

    Args:
        process_id: Whose.
        is_resumed: Whether rows may be stored that this object has not seen.
    """

    def __init__(self, process_id: int, *, is_resumed: bool) -> None:
        self._process_id = process_id
        self._held: dict[Name, Bucket] = {}
        # A bucket that starts before this may be stored; later ones cannot be.
        self._seen_before: dict[int, int] | None = None if is_resumed else dict.fromkeys(PERIODS_S, 0)

    def add(self, connection: Connection, deltas: Iterable[Delta]) -> list[RollupRow]:
        """Add *deltas*, whose series have their ids, and return the rows that changed.

        Reads on *connection*. What fails in between leaves this object unusable.
        """
        parts = [
            ((period, delta.second - delta.second % period, delta.series.id or 0), delta)
            for delta in deltas
            for period in PERIODS_S
        ]
        if not parts:
            return []
        self._bring(connection, {name for name, _delta in parts})
        for name, delta in parts:
            self._held[name].add(delta)
        rows = [self._held[name].row(name) for name in dict.fromkeys(name for name, _delta in parts)]
        self._forget(max(name[1] + name[0] for name, _delta in parts if name[0] == 1))
        return rows

    def _bring(self, connection: Connection, names: set[Name]) -> None:
        """Have every bucket of *names* in memory."""
        if self._seen_before is None:
            self._seen_before = self._stored_until(connection)
        missing = names - self._held.keys()
        stored = self._load(connection, [name for name in missing if name[1] < self._seen_before[name[0]]])
        for name in missing:
            self._held[name] = Bucket(stored.get(name))

    def _stored_until(self, connection: Connection) -> dict[int, int]:
        return {
            period: int(
                connection.scalar(
                    select(func.max(_Column.start)).where(
                        _Column.process_id == self._process_id, _Column.period_s == period
                    )
                )
                or -1
            )
            + 1
            for period in PERIODS_S
        }

    def _load(self, connection: Connection, names: list[Name]) -> dict[Name, Sequence[Any]]:
        if not names:
            return {}
        wanted = {period: sorted({name[1] for name in names if name[0] == period}) for period in PERIODS_S}
        which = or_(
            *(
                and_(_Column.period_s == period, _Column.start.in_(starts[at : at + 200]))
                for period, starts in wanted.items()
                for at in range(0, len(starts), 200)
            )
        )
        rows = connection.execute(
            select(*tables.rollups.columns[1:]).where(_Column.process_id == self._process_id, which)
        )
        return {(row[0], row[1], row[2]): tuple(row[3:]) for row in rows}

    def _forget(self, newest: int) -> None:
        limit = newest - KEEP_S
        assert self._seen_before is not None
        for name in [name for name in self._held if name[1] + name[0] < limit]:
            del self._held[name]
            period, start, _series = name
            self._seen_before[period] = max(self._seen_before[period], start + 1)
