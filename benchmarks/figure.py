"""A measured number beside what it must be."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median

MET = "met"
MOONSHOT = "met, moonshot"
MISSED = "missed"
SHOWN = "no limit"


@dataclass(frozen=True)
class Peer:
    """What somebody else's tool needed for the same work, measured in the same run."""

    name: str
    values: tuple[float, ...]

    @property
    def median(self) -> float:
        """The middle of its repetitions."""
        return median(self.values)


@dataclass(frozen=True)
class Figure:
    """One line of the table.

    Args:
        row: Row of the budget table in docs/benchmarks.md.
        name: What was measured.
        unit: Of all numbers here.
        values: One per repetition, at least one.
        must: The limit, inclusive; None: the number is only shown.
        moonshot: The limit we would like, inclusive; None: there is none.
        is_ceiling: Whether the limits are upper ones.
        peer: Shown beside it.
        beats_peer: Whether the moonshot also means less than the peer.
        details: What else was seen in the measurement, by name and unit.

    Raises:
        ValueError: *values* is empty.
    """

    row: int
    name: str
    unit: str
    values: tuple[float, ...]
    must: float | None = None
    moonshot: float | None = None
    is_ceiling: bool = True
    peer: Peer | None = None
    beats_peer: bool = False
    details: Mapping[str, float | str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.values:
            raise ValueError(f"row {self.row}, {self.name}: nothing was measured")

    @property
    def median(self) -> float:
        """The middle of the repetitions: what the verdict is about."""
        return median(self.values)

    @property
    def verdict(self) -> str:
        """`MET`, `MOONSHOT`, `MISSED` or, without a limit, `SHOWN`."""
        if self.must is None:
            return SHOWN
        if not self._is_within(self.must):
            return MISSED
        is_ahead = not self.beats_peer or self.peer is None or self.median < self.peer.median
        is_moonshot = self.moonshot is not None and self._is_within(self.moonshot)
        return MOONSHOT if is_ahead and is_moonshot else MET

    def _is_within(self, limit: float) -> bool:
        return self.median <= limit if self.is_ceiling else self.median >= limit


def ratios(values: Sequence[float], plain: Sequence[float]) -> tuple[float, ...]:
    """Divide round by round, so that what disturbs a whole round cancels out."""
    return tuple(value / base for value, base in zip(values, plain, strict=True))


def surplus(values: Sequence[float], plain: Sequence[float]) -> tuple[float, ...]:
    """Subtract the median of *plain*: round by round, the noise of both would add up."""
    base = median(plain)
    return tuple(value - base for value in values)


def percentile(values: Sequence[float], percent: float) -> float:
    """Return the value that *percent* of *values* do not exceed (nearest rank)."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]
