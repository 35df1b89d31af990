"""Every planted value as the bytes it would have in a sink, and a fast way to find any of them.

Half a million values in hundreds of megabytes: numpy compares the first eight bytes at every position with a
sorted table, and only what agrees there is compared in full. ASCII letters are compared without case.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

SHORTEST: Final = 8  # characters of a value that is searched for
_HEAD = 8  # bytes that numpy compares
_CHUNK = 4 * 1024 * 1024
_FILTER_BITS = range(16, 25)
_SPREAD = np.uint64(0x9E3779B97F4A7C15)
_NUMBER_BYTES = frozenset(b"0123456789")
_INVISIBLE = re.compile("[\u00ad\u200b-\u200f\u2060-\u2064\ufeff]")


class Hit(NamedTuple):
    """A value that was found: ``key`` is what `Table` was given for it, ``at`` its place in the bytes."""

    key: int
    at: int


def fold(text: str) -> str:
    """Return *text* as it is compared: plain forms (NFKC), without case and invisible characters."""
    return unicodedata.normalize("NFKC", _INVISIBLE.sub("", text)).casefold()


class Table:
    """Finds values in bytes.

    Args:
        values: Texts of `SHORTEST` characters and more, with the index under which each is reported.
    """

    def __init__(self, values: Iterable[tuple[int, str]]) -> None:
        self._by_head: dict[bytes, list[tuple[bytes, int, bool]]] = {}
        self._longest = _HEAD
        for index, value in values:
            for needle, is_number in _needles(value):
                self._longest = max(self._longest, len(needle))
                self._by_head.setdefault(needle[:_HEAD], []).append((needle, index, is_number))
        heads = np.frombuffer(b"".join(self._by_head), dtype="<u8")
        self._heads = np.sort(heads)
        # Sixteen places for each: a small table stays in the processor's cache.
        bits = min(max(len(heads).bit_length() + 4, _FILTER_BITS[0]), _FILTER_BITS[-1])
        self._shift = np.uint64(64 - bits)
        self._filter = np.zeros(1 << bits, dtype=np.bool_)
        self._filter[self._slots(heads)] = True

    def find(self, data: bytes) -> Iterator[Hit]:
        """Yield every value in *data*; the same one as often as it is there."""
        for start in range(0, len(data), _CHUNK):
            # What begins in a chunk may end in the next one.
            part = data[start : start + _CHUNK + self._longest].lower()
            for at in self._candidates(part):
                if at < _CHUNK:
                    yield from (Hit(index, start + at) for index in self._whole(part, at))

    def _candidates(self, data: bytes) -> Iterator[int]:
        for offset in range(min(_HEAD, max(0, len(data) - _HEAD + 1))):
            windows = np.frombuffer(data, dtype="<u8", count=(len(data) - offset) // _HEAD, offset=offset)
            maybe = np.flatnonzero(self._filter[self._slots(windows)])
            at = np.searchsorted(self._heads, windows[maybe])
            at[at == len(self._heads)] = 0
            agrees = maybe[self._heads[at] == windows[maybe]] if len(self._heads) else maybe[:0]
            yield from (agrees * _HEAD + offset).tolist()

    def _slots(self, windows: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
        return (windows * _SPREAD) >> self._shift

    def _whole(self, data: bytes, at: int) -> Iterator[int]:
        for needle, index, is_number in self._by_head[data[at : at + _HEAD]]:
            end = at + len(needle)
            if data.startswith(needle, at) and not (is_number and _goes_on(data, at, end)):
                yield index


def _goes_on(data: bytes, at: int, end: int) -> bool:
    """Whether a number is only a part of a longer one, such as a latency with sixteen digits."""
    return (data[max(0, at - 1)] in _NUMBER_BYTES and at > 0) or (
        end < len(data) and data[end] in _NUMBER_BYTES
    )


def _needles(value: str) -> set[tuple[bytes, bool]]:
    folded = fold(value)
    is_number = value.isascii() and not any(char.isalpha() for char in value)
    found = {(text.encode().lower(), is_number) for text in (folded, value)}
    if not value.isascii():
        found |= {(text.encode("latin-1", "replace").lower(), False) for text in (folded, value)}
    return {
        (needle, is_number) for needle, is_number in found if len(needle) >= _HEAD and b"???" not in needle
    }
