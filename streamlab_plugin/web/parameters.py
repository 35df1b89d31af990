"""Query parameters, checked: what cannot be meant is answered with 400 and a sentence."""

from __future__ import annotations

from collections.abc import Collection

from flask import request
from werkzeug.exceptions import BadRequest

MOST_ROWS = 1000
# The largest integer that both a browser and a database column hold exactly.
_MOST = 2**53


def whole_number(name: str, default: int | None = None, *, least: int = 0) -> int | None:
    """Return the parameter *name* as an integer, *default* if it is not given.

    Raises:
        BadRequest: It is no whole number from *least* on.
    """
    raw = request.args.get(name, "").strip()
    if not raw:
        return default
    try:
        value = int(raw)
    except ValueError:
        value = least - 1
    if not least <= value <= _MOST:
        raise BadRequest(f"{name}={raw[:40]!r} is not a whole number from {least} on.")
    return value


def limit(default: int = 100) -> int:
    """Return how many rows are wanted, at most `MOST_ROWS`."""
    return min(whole_number("limit", default, least=1) or default, MOST_ROWS)


def choice(name: str, choices: Collection[str]) -> str | None:
    """Return the parameter *name*, None if it is not given.

    Raises:
        BadRequest: It is none of *choices*.
    """
    raw = request.args.get(name, "").strip()
    if raw and raw not in choices:
        raise BadRequest(f"{name}={raw[:40]!r} is not one of {', '.join(choices)}.")
    return raw or None


def words(name: str) -> str | None:
    """Return the parameter *name* as text, None if it is not given."""
    return request.args.get(name, "").strip()[:200] or None
