"""What may be shown of a target's address."""

from __future__ import annotations

import re2

_CREDENTIALS = re2.compile(r"//[^/@\s,]*@")
_REST = re2.compile(r"[?#][^\s,]*")


def target(host: str) -> str:
    """Return *host* (a URL, or several separated by commas) without credentials, query and fragment."""
    return str(_REST.sub("", _CREDENTIALS.sub("//", host)))[:200]
