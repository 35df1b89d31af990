"""A place where something of a test may remain, and the values that were found there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from streamlab_plugin.canary.decoding import views
from streamlab_plugin.canary.person import forms
from streamlab_plugin.canary.planting import PROTOCOLS, Planting, plantings
from streamlab_plugin.canary.table import SHORTEST, Table


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
        vocabulary: Words that error texts may keep: a value of nothing else proves nothing.
    """

    def __init__(self, planted: Iterable[Planting], vocabulary: frozenset[str] = frozenset()) -> None:
        self.owners: list[tuple[Planting, str]] = []  # planting and field of each value
        self._table = Table(self._values(planted, vocabulary))

    def in_sink(self, sink: Sink) -> list[Find]:
        """Return every value that is in *sink*, each once, with the shortest way to read it."""
        found: dict[int, tuple[str, ...]] = {}
        for piece in sink.pieces:
            for view in views(piece):
                for hit in self._table.find(view.data):
                    found[hit.key] = min(found.get(hit.key, view.path), view.path, key=len)
        return [
            Find(*self.owners[index], sink.name, ", ".join(path)) for index, path in sorted(found.items())
        ]

    def _values(self, planted: Iterable[Planting], vocabulary: frozenset[str]) -> Iterator[tuple[int, str]]:
        for planting in planted:
            for field, value in planting.values.items():
                if len(value) < SHORTEST or _is_vocabulary(value, vocabulary):
                    continue
                self.owners.append((planting, field))
                for form in forms(field, value):
                    yield len(self.owners) - 1, form


def everything(seed: int, people: int) -> Iterator[Planting]:
    """Yield the plantings of all protocols."""
    for protocol in PROTOCOLS:
        yield from plantings(protocol, seed, people)


def read_files(name: str, paths: Iterable[Path]) -> Sink:
    """Return a sink of the files that are there."""
    return Sink(name, [path.read_bytes() for path in sorted(paths) if path.is_file()])


def _is_vocabulary(value: str, vocabulary: frozenset[str]) -> bool:
    words = "".join(char if char.isalpha() else " " for char in value).casefold().split()
    return bool(words) and vocabulary.issuperset(words) and not any(char.isdigit() for char in value)
