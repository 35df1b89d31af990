"""What becomes of a single value that a policy keeps or hashes."""

from __future__ import annotations

import math
from typing import Final

from streamlab_plugin.privacy.detector import clean_value

# Ints and floats between these bounds are kept without another look. Epoch milliseconds lie inside until
# 2033; payment cards with 13 digits and more lie outside.
PLAIN_NUMBER = 2_000_000_000_000
TEXT_LENGTH = 256

_INT_LIMIT = 2**63


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
    cleaned = clean_value(digits)
    return value if cleaned == digits else cleaned


def shorten(text: str) -> str:
    """Cut *text* to `TEXT_LENGTH` characters, the last of them saying so."""
    return text if len(text) <= TEXT_LENGTH else f"{text[: TEXT_LENGTH - 1]}…"


def identifier(value: object) -> str:
    """Return *value* as the text that is hashed: 42, 42.0 and "42" are one id."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value)
