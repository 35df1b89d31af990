"""Text that is safe to print."""

from __future__ import annotations


def printable(value: str) -> str:
    """Return *value* without what a terminal would obey: names and messages come from elsewhere."""
    return "".join(character if character.isprintable() else "\ufffd" for character in value)
