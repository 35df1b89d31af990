"""Counts and latency sketches per second, minute and hour, cumulative per stream.

A record belongs to the second in which its exchange ended. Between two writes only the seconds collect
values; a write adds them to the three periods, so that a record costs one dictionary look-up here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from streamlab_plugin.detect.sketch import Sketch
from streamlab_plugin.store.batch import Key, RollupRow

PERIODS_S = (1, 60, 3600)
# A bucket that ended this long ago leaves memory; should more come, it is read back first.
KEEP_S = 120

Load = Callable[[int, int, Key], tuple[Any, ...] | None]


class Delta:
    """What one series did in one second since the last write."""

    __slots__ = ("answered", "count", "errors", "interrupted", "latencies_ms", "size_sum", "timeouts")

    def __init__(self) -> None:
        self.count = 0
        self.errors = 0
        self.timeouts = 0
        self.interrupted = 0
        self.answered = 0
        self.size_sum = 0
        self.latencies_ms: list[float] = []


class Bucket:
    """The cumulative row of one (period, start, series)."""

    __slots__ = ("counts", "latency_max", "latency_min", "latency_sum", "sketch")

    def __init__(self, stored: tuple[Any, ...] | None = None) -> None:
        # count, errors, timeouts, interrupted, answered, latency_count, size_sum
        self.counts = [0] * 7
        self.latency_sum = 0.0
        self.latency_min: float | None = None
        self.latency_max: float | None = None
        self.sketch = Sketch()
        if stored is not None:
            self.counts = [*stored[:6], stored[9]]
            self.latency_sum, self.latency_min, self.latency_max = stored[6:9]
            if stored[10]:
                self.sketch = Sketch.from_bytes(stored[10])

    def add(self, delta: Delta, latencies_ms: Any) -> None:
        """Add a delta; *latencies_ms* are its latencies as a float32 array."""
        added = len(latencies_ms)
        values = (
            delta.count,
            delta.errors,
            delta.timeouts,
            delta.interrupted,
            delta.answered,
            added,
            delta.size_sum,
        )
        self.counts = [old + new for old, new in zip(self.counts, values, strict=True)]
        if added:
            low, high = min(delta.latencies_ms), max(delta.latencies_ms)
            self.latency_sum += sum(delta.latencies_ms)
            self.latency_min = low if self.latency_min is None else min(low, self.latency_min)
            self.latency_max = high if self.latency_max is None else max(high, self.latency_max)
            self.sketch.add(latencies_ms)

    def row(self, period_s: int, start: int, series: Key) -> RollupRow:
        """Return the bucket as it shall be stored."""
        count, errors, timeouts, interrupted, answered, latency_count, size_sum = self.counts
        sketch = self.sketch.to_bytes() if latency_count else None
        return RollupRow(
            period_s, start, series, count, errors, timeouts, interrupted, answered, latency_count,
            self.latency_sum, self.latency_min, self.latency_max, size_sum, sketch,
        )  # fmt: skip


class Rollups:
    """The rollups of one stream.

    Args:
        load: Reads a stored row (period, start, series), for buckets that are older than this object.
        is_resumed: Whether the stream had been stored before, by a recorder that is gone.
    """

    def __init__(self, load: Load, *, is_resumed: bool) -> None:
        self._load = load
        self._buckets: dict[tuple[int, int, Key], Bucket] = {}
        self._forgotten_before = dict.fromkeys(PERIODS_S, 2**62 if is_resumed else 0)
        self._is_resumed = is_resumed
        self.deltas: dict[tuple[int, Key], Delta] = {}

    def take_changed(self) -> list[RollupRow]:
        """Return the cumulative rows that changed since the last call.

        Should reading a stored row fail, nothing has changed and the call can be repeated.
        """
        if not self.deltas:
            return []
        changed = {
            name: self._buckets.get(name) or self._bring(name)
            for second, series in self.deltas
            for name in [(period, second - second % period, series) for period in PERIODS_S]
        }
        deltas, self.deltas = self.deltas, {}
        for (second, series), delta in deltas.items():
            latencies = np.asarray(delta.latencies_ms, dtype=np.float32)
            for period in PERIODS_S:
                changed[period, second - second % period, series].add(delta, latencies)
        self._forget(max(second for second, _series in deltas))
        return [bucket.row(*name) for name, bucket in changed.items()]

    def _bring(self, name: tuple[int, int, Key]) -> Bucket:
        period, start, _series = name
        may_be_stored = start < self._forgotten_before[period]
        bucket = self._buckets[name] = Bucket(self._load(*name) if may_be_stored else None)
        return bucket

    def _forget(self, newest: int) -> None:
        limit = newest - KEEP_S
        for name in [name for name in self._buckets if name[1] + name[0] < limit]:
            del self._buckets[name]
            period, start, _series = name
            if not self._is_resumed:
                self._forgotten_before[period] = max(self._forgotten_before[period], start + period)
