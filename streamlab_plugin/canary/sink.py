"""A place where something of a test may remain, and the values that were found there."""

from __future__ import annotations

import multiprocessing
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from streamlab_plugin.canary.decoding import views
from streamlab_plugin.canary.person import forms
from streamlab_plugin.canary.planting import PROTOCOLS, Planting, plantings
from streamlab_plugin.canary.table import SHORTEST, Table
from streamlab_plugin.privacy.masking import LONGEST_NUMBER

_MOST_PROCESSES = 4
_shared: Table | None = None  # of the search that is going on


class Sink(NamedTuple):
    """What remained in one place, in as many pieces as it has files, answers or streams."""

    name: str
    pieces: Sequence[bytes]

    @property
    def size_bytes(self) -> int:
        """Return how much there is to search."""
        return sum(map(len, self.pieces))


class Find(NamedTuple):
    """A planted value that was found; it is never shown itself."""

    planting: Planting
    field: str
    sink: str
    decoding: str  # what had to be undone, outermost first; empty: it is there as it was


class Search:
    """Looks for what was planted.

    Args:
        planted: All plantings.
        vocabulary: Words that error texts may keep: a value of nothing else, or of such words and numbers as
            short as error texts keep ("1547 Give", a town), proves nothing.
    """

    def __init__(self, planted: Iterable[Planting], vocabulary: frozenset[str] = frozenset()) -> None:
        self.owners: list[tuple[Planting, str]] = []  # planting and field of each value
        self._table = Table(self._values(planted, vocabulary))

    def in_sinks(self, sinks: Sequence[Sink]) -> list[Find]:
        """Return every value that is in *sinks*: for each sink once, with the shortest way to read it.

        The processors share the work: forked processes have the table without a copy.
        """
        global _shared
        _shared = self._table
        pieces = [(sink, piece) for sink in sinks for piece in sink.pieces]
        found: dict[tuple[str, int], tuple[str, ...]] = {}
        with multiprocessing.get_context("fork").Pool(min(_MOST_PROCESSES, os.cpu_count() or 1)) as pool:
            answers = pool.imap(_in_piece, [piece for _sink, piece in pieces])
            for (sink, _piece), answer in zip(pieces, answers, strict=True):
                for index, path in answer.items():
                    key = sink.name, index
                    found[key] = min(found.get(key, path), path, key=len)
        return [Find(*self.owners[index], name, ", ".join(path)) for (name, index), path in found.items()]

    def _values(self, planted: Iterable[Planting], vocabulary: frozenset[str]) -> Iterator[tuple[int, str]]:
        for planting in planted:
            for field, value in planting.values.items():
                if len(value) < SHORTEST or _is_vocabulary(value, vocabulary):
                    continue
                self.owners.append((planting, field))
                for form in forms(field, value):
                    yield len(self.owners) - 1, form


def _in_piece(piece: bytes) -> dict[int, tuple[str, ...]]:
    """Return the values in *piece* by index, each with the shortest way to read it; for a forked process."""
    assert _shared is not None
    found: dict[int, tuple[str, ...]] = {}
    for view in views(piece):
        for hit in _shared.find(view.data):
            found[hit.key] = min(found.get(hit.key, view.path), view.path, key=len)
    return found


def everything(seed: int, people: int) -> Iterator[Planting]:
    """Yield the plantings of all protocols."""
    for protocol in PROTOCOLS:
        yield from plantings(protocol, seed, people)


def read_files(name: str, paths: Iterable[Path]) -> Sink:
    """Return a sink of the files that are there."""
    return Sink(name, [path.read_bytes() for path in sorted(paths) if path.is_file()])


def _is_vocabulary(value: str, vocabulary: frozenset[str]) -> bool:
    words = "".join(char if char.isalpha() else " " for char in value).casefold().split()
    longest = max(map(len, re.findall(r"\d+", value)), default=0)
    return bool(words) and vocabulary.issuperset(words) and longest <= LONGEST_NUMBER
