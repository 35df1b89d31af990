"""One kind of thing to find in a text: an RE2 pattern and who decides what a match becomes."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import re2

# Texts are UTF-8, offsets are bytes. A judge returns what replaces a match; None leaves it as it is.
Judge = Callable[[bytes, re2._Match], bytes | None]


class Pattern(NamedTuple):
    """What to look for, and the function that replaces it in a text known to contain it."""

    text: str
    replace: Callable[[bytes], bytes]


def judged(text: str, judge: Judge) -> Pattern:
    """Return a pattern whose matches *judge* decides on."""
    regexp = re2.compile(text)

    def replace(data: bytes) -> bytes:
        pieces: list[bytes] = []
        end = 0
        for match in regexp.finditer(data):
            new = judge(data, match)
            if new is not None:
                start, stop = match.span()
                pieces += (data[end:start], new)
                end = stop
        return b"".join((*pieces, data[end:])) if pieces else data

    return Pattern(text, replace)


def always(text: str, mark: bytes) -> Pattern:
    """Return a pattern whose matches all become *mark*."""
    return judged(text, lambda _data, _match: mark)
