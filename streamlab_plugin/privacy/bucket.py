"""Buckets: coordinates, numbers and times that stay, but not exactly."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from streamlab_plugin.privacy.scalar import DROPPED

LONGEST_DEGREES: Final = 180
_TEXT_LENGTH = 64
# Numbers up to here are seconds since 1970 (until the year 5138), larger ones milliseconds.
_MOST_SECONDS = 100_000_000_000
_MOST_MILLISECONDS = 100_000_000_000_000


class Bucket(NamedTuple):
    """How a field is made coarse.

    ``kind`` is ``degrees`` (to the nearest multiple), ``step`` (down to a multiple) or ``minutes`` (down to
    a multiple, of a time as ISO 8601 text or as seconds or milliseconds since 1970), ``size`` in that unit.
    """

    kind: str
    size: float

    def __str__(self) -> str:
        size = f"{self.size:g}"
        return {"degrees": f"{size}°", "minutes": f"{size} min"}.get(self.kind, f"steps of {size}")


def bucketer(bucket: Bucket) -> Callable[[object], object]:
    """Return the function that makes values coarse; what is no value of that kind becomes `DROPPED`.

    It may be precise in another unit. Null, NaN and infinities become null; numeric text stays text.
    """
    on_number = {"degrees": _degrees, "step": _step, "minutes": _minutes}[bucket.kind](bucket.size)
    on_text = _iso_time(bucket.size) if bucket.kind == "minutes" else _numeric(on_number)

    def make_coarse(value: object) -> object:
        if value is None:
            return None
        if isinstance(value, str):
            return on_text(value) if len(value) <= _TEXT_LENGTH else DROPPED
        if isinstance(value, bool) or not isinstance(value, int | float):
            return DROPPED
        if isinstance(value, float) and not math.isfinite(value):
            return None
        return on_number(value)

    return make_coarse


def per_degree(degrees: float) -> int | None:
    """Return how many multiples of *degrees* a degree has, or None if they do not fit into it."""
    count = round(1 / degrees)
    return count if count and math.isclose(count * degrees, 1.0) else None


def rounder(degrees: float) -> Callable[[float], float]:
    """Return a function that rounds a finite coordinate to the nearest multiple of *degrees*."""
    count = per_degree(degrees)
    if count is not None:
        return lambda number: (number * count + 0.5) // 1 / count + 0.0  # no negative zero
    return lambda number: max(-180.0, min(180.0, round(round(number / degrees) * degrees, 6))) + 0.0


def _degrees(size: float) -> Callable[[float], object]:
    nearest = rounder(size)
    return lambda number: nearest(number) if -LONGEST_DEGREES <= number <= LONGEST_DEGREES else DROPPED


def _step(size: float) -> Callable[[float], object]:
    def down(number: float) -> object:
        if not -(2**53) <= number <= 2**53:
            return DROPPED
        multiple = _steps(number / size) * size
        is_whole = isinstance(number, int) and multiple == int(multiple)
        return int(multiple) if is_whole else round(float(multiple), 9)

    return down


def _steps(quotient: float) -> int:
    """Return the whole steps in *quotient*: all of them for a multiple, whatever a float makes of it."""
    nearest = round(quotient)
    return nearest if math.isclose(quotient, nearest, rel_tol=4e-15) else math.floor(quotient)


def _minutes(size: float) -> Callable[[float], object]:
    def down(number: float) -> object:
        if not 0 <= number < _MOST_MILLISECONDS:
            return DROPPED
        unit = size * (60 if number < _MOST_SECONDS else 60_000)
        multiple = _steps(number / unit) * unit
        return int(multiple) if isinstance(number, int) else float(multiple)

    return down


def _numeric(on_number: Callable[[float], object]) -> Callable[[str], object]:
    def make_coarse(text: str) -> object:
        try:
            number = float(text)
        except ValueError:
            return DROPPED
        new = on_number(number) if math.isfinite(number) else DROPPED
        return DROPPED if new is DROPPED else str(new)

    return make_coarse


def _iso_time(minutes: float) -> Callable[[str], object]:
    width = timedelta(minutes=minutes)

    def make_coarse(text: str) -> object:
        try:
            at = datetime.fromisoformat(text)
            # From the beginning of its own calendar, so that hours and days begin where people say they do.
            first = datetime(1970, 1, 1, tzinfo=at.tzinfo)
            return (first + (at - first) // width * width).isoformat().replace("+00:00", "Z")
        except (ValueError, OverflowError):
            return DROPPED

    return make_coarse
