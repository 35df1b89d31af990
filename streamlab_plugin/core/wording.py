"""How a wrong value and the nearest right one are put into words, alike for every document."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

_LONGEST = 60


def shown(value: object) -> str:
    """Return *value* for an error message: one line, cut to 60 characters."""
    if value is None:
        return "nothing"
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # a number of thousands of digits; lists within lists within lists
        return f"a {type(value).__name__} that is too large to show"
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."


def choices(value: object, known: Iterable[str]) -> str:
    """Return the remedy for a *value* that is none of *known*: the nearest of them, then all."""
    names = tuple(known)
    near = difflib.get_close_matches(value[:_LONGEST], names, n=1) if isinstance(value, str) else []
    hint = f"did you mean {near[0]!r}? " if near else ""
    return f"{hint}known: {', '.join(names)}"
