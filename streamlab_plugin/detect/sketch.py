"""Latency distributions that can be merged across processes, periods and runs.

Apache DataSketches' REQ sketch with high-rank accuracy: rank error at most 0.4 % near the tail at k = 12,
also after merging (https://datasketches.apache.org/docs/REQ/ReqSketch.html). It stores float32, so a limit
is compared as float32 too.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from datasketches import req_floats_sketch

K = 12
POOLED = 24

_deserialize = req_floats_sketch.deserialize


class Sketch:
    """A mergeable distribution of latencies in milliseconds."""

    __slots__ = ("_inner",)

    def __init__(self) -> None:
        self._inner = req_floats_sketch(K, True)

    @classmethod
    def from_bytes(cls, blob: bytes) -> Sketch:
        """Rebuild a sketch from `to_bytes`."""
        sketch = cls.__new__(cls)
        sketch._inner = req_floats_sketch.deserialize(blob)
        return sketch

    def to_bytes(self) -> bytes:
        """Return the sketch in the library's portable form (68 bytes for 10 values, ~5 kB for 100,000)."""
        return bytes(self._inner.serialize())

    def add(self, latencies_ms: Sequence[float]) -> None:
        """Add values; an array costs far less than single values."""
        self._inner.update(np.asarray(latencies_ms, dtype=np.float32))

    def merge(self, other: Sketch) -> None:
        """Add everything *other* has seen."""
        self._inner.merge(other._inner)

    def merge_bytes(self, blob: bytes) -> None:
        """Add everything that a stored sketch has seen."""
        self._inner.merge(_deserialize(blob))

    @property
    def count(self) -> int:
        """How many values were added."""
        return int(self._inner.n)

    def percentile(self, percent: float) -> float | None:
        """Return the value at *percent* (0..100], or None without data."""
        if self._inner.is_empty():
            return None
        return float(self._inner.get_quantile(percent / 100.0))


class Pool:
    """Several sketches as one distribution; with few of them, the same answer each time.

    Merging decides by chance what it keeps, so that two merges of the same sketches can differ by the error
    they are allowed. A verdict near a limit must not: up to `POOLED` sketches are therefore not merged, their
    weighted values are ranked together. More of them (a live window) are merged, as is what has been merged
    already: far quicker.
    """

    __slots__ = ("_is_merged", "_sketches")

    def __init__(self) -> None:
        self._sketches: list[Sketch] = []
        self._is_merged = False

    def add(self, blob: bytes) -> None:
        """Add a stored sketch."""
        self._sketches.append(Sketch.from_bytes(blob))

    def include(self, other: Pool) -> None:
        """Add everything that *other* holds."""
        self._sketches += other._sketches
        self._is_merged |= other._is_merged

    def percentiles(self, *percents: float) -> list[float | None]:
        """Return the values at *percents* (0..100], None without data."""
        if not self._sketches:
            return [None for _ in percents]
        if self._is_merged or len(self._sketches) > POOLED:
            whole = Sketch()
            for sketch in self._sketches:
                whole.merge(sketch)
            # Who includes this pool later need not merge it all again.
            self._sketches, self._is_merged = [whole], True
            return [whole.percentile(percent) for percent in percents]
        weighted = np.array([pair for sketch in self._sketches for pair in sketch._inner], dtype=np.float64)
        weighted = weighted[np.argsort(weighted[:, 0], kind="stable")]
        reached = np.cumsum(weighted[:, 1])
        places = np.searchsorted(reached, np.asarray(percents) / 100.0 * reached[-1])
        return [float(weighted[min(place, len(weighted) - 1), 0]) for place in places]


def exceeds(value_ms: float, limit_ms: float) -> bool:
    """Whether a sketch's *value_ms* is above *limit_ms*, with the limit in the sketch's own precision."""
    return value_ms > float(np.float32(limit_ms))
