"""One kind of thing to find in a text: an RE2 pattern and who decides what a match becomes."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import re2

# Texts are UTF-8, offsets are bytes. A judge returns what replaces data[start:stop]; None leaves it as it is.
Judge = Callable[[bytes, int, int], bytes | None]
# One that needs the groups of the match.
GroupJudge = Callable[[bytes, re2._Match], bytes | None]


class Pattern(NamedTuple):
    """What to look for, and the function that replaces it in a text that may contain it.

    ``trigger`` is found in all such texts and maybe in others. All triggers are one automaton, whose states
    are made while it reads: repetitions that are counted from several places on would multiply them.
    """

    trigger: str
    replace: Callable[[bytes], bytes]


def judged(text: str, judge: Judge, trigger: str = "") -> Pattern:
    """Return a pattern whose matches *judge* decides on; the trigger is its own text unless given."""
    find = re2.compile(text).finditer

    def replace(data: bytes) -> bytes:
        pieces: list[bytes] = []
        end = 0
        for match in find(data):
            start, stop = match.span()
            new = judge(data, start, stop)
            if new is not None:
                pieces += (data[end:start], new)
                end = stop
        return b"".join((*pieces, data[end:])) if pieces else data

    return Pattern(trigger or text, replace)


def parsed(text: str, judge: GroupJudge) -> Pattern:
    """Return a pattern whose matches *judge* decides on by their groups."""
    match_at = re2.compile(text).match
    return judged(text, lambda data, start, _stop: judge(data, match_at(data, start)))


def always(text: str, mark: bytes) -> Pattern:
    """Return a pattern whose matches all become *mark*."""
    return judged(text, lambda _data, _start, _stop: mark)
