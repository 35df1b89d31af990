"""Where the correlation id stands in a message: a field, or a dotted path to one inside objects."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

Finder = Callable[[Any], Any]
"""Returns the id in a message, or None where it has none; ids are texts or whole numbers."""


@cache  # thousands of users share the few paths there are
def finder(path: str) -> Finder:
    """Return a function that finds the id at *path*, e.g. ``correlation_id`` or ``meta.id``."""
    *outer, last = path.split(".")

    def find(message: Any) -> Any:
        for name in outer:
            message = message.get(name) if isinstance(message, dict) else None
        found = message.get(last) if isinstance(message, dict) else None
        return found if isinstance(found, (str, int)) else None

    return find


def with_id(message: Mapping[str, Any], path: str, correlation_id: str) -> dict[str, Any]:
    """Return a copy of *message* with *correlation_id* at *path*.

    Raises:
        ValueError: Something that is no object stands in the way.
    """
    name, _dot, rest = path.partition(".")
    if not rest:
        return {**message, name: correlation_id}
    inner = message.get(name, {})
    if not isinstance(inner, Mapping):
        raise ValueError(f"the message has no object at {name!r}, where the correlation id belongs")
    return {**message, name: with_id(inner, rest, correlation_id)}
