"""What becomes of a single value that a policy keeps, hashes or buckets."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

from streamlab_plugin.privacy.detector import clean_text

# Ints and floats between these bounds are kept without another look. Epoch milliseconds lie inside until
# 2033; payment cards with 13 digits and more lie outside.
PLAIN_NUMBER = 2_000_000_000_000
LONGEST_DEGREES = 180
TEXT_LENGTH = 256

_INT_LIMIT = 2**63
_COORDINATE_LENGTH = 64


class _Dropped:
    """The type of `DROPPED`, which stands for a value that is not stored."""

    def __repr__(self) -> str:
        return "DROPPED"


DROPPED: Final = _Dropped()


def odd_number(value: int | float) -> object:
    """Return what is stored for a kept number outside ±`PLAIN_NUMBER`, NaN and infinities included.

    Null for what JSON cannot say, `DROPPED` beyond 64 bit, the mark when its digits are a card's.
    """
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if not -_INT_LIMIT <= value < _INT_LIMIT:
        return value if isinstance(value, float) else DROPPED
    if isinstance(value, float) and not value.is_integer():
        return value
    digits = str(abs(int(value)))
    cleaned = clean_text(digits)
    return value if cleaned == digits else cleaned


def shorten(text: str) -> str:
    """Cut *text* to `TEXT_LENGTH` characters, the last of them saying so."""
    return text if len(text) <= TEXT_LENGTH else f"{text[: TEXT_LENGTH - 1]}…"


def identifier(value: object) -> str:
    """Return *value* as the text that is hashed: 42, 42.0 and "42" are one id."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value)


def bucketer(degrees: float) -> Callable[[float], float]:
    """Return a function that rounds a finite coordinate to the nearest multiple of *degrees*."""
    per_degree = round(1 / degrees)
    if math.isclose(per_degree * degrees, 1.0):
        return lambda number: round(number * per_degree) / per_degree + 0.0  # no negative zero
    return lambda number: round(round(number / degrees) * degrees, 6) + 0.0


def bucket_value(value: object, bucket: Callable[[float], float]) -> object:
    """Return *value*, a coordinate as number or numeric text, in its bucket and its type.

    What is no coordinate (not numeric, beyond ±180) becomes `DROPPED`: it may be a precise location in
    another unit. Null, NaN and infinities become null.
    """
    if value is None:
        return None
    if isinstance(value, str):
        return _bucket_text(value, bucket)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return DROPPED
    if -LONGEST_DEGREES <= value <= LONGEST_DEGREES:
        return bucket(value)
    return None if isinstance(value, float) and not math.isfinite(value) else DROPPED


def _bucket_text(text: str, bucket: Callable[[float], float]) -> object:
    try:
        number = float(text) if len(text) <= _COORDINATE_LENGTH else math.nan
    except ValueError:
        return DROPPED
    return str(bucket(number)) if -LONGEST_DEGREES <= number <= LONGEST_DEGREES else DROPPED
