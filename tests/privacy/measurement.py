"""What the detectors find and touch; ``python -m tests.privacy.measurement`` renews docs/privacy.md.

A table stands between ``<!-- measured: NAME -->`` and ``<!-- end -->``.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

from streamlab_plugin.privacy.detector import clean_text
from streamlab_plugin.privacy.plan import Redactor
from streamlab_plugin.privacy.policy import parse_policy
from streamlab_plugin.privacy.pseudonym import Pseudonyms
from tests.privacy.benign import BENIGN, values
from tests.privacy.identifier import KINDS, Kind, negatives, positives

PAGE = Path(__file__).parents[2] / "docs" / "privacy.md"
COUNT = 600
BENIGN_COUNT = 50_000

_PIECE = 6
_PLACE = re.compile(r"(<!-- measured: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


class Accuracy(NamedTuple):
    """How well one class is found: what was missed and what was taken for it, as text and result."""

    count: int
    missed: list[tuple[str, str]]
    mistaken: list[tuple[str, str]]

    @property
    def recall(self) -> float:
        """Share of the identifiers of which nothing telling is left."""
        return 1 - len(self.missed) / self.count

    @property
    def precision(self) -> float:
        """Share of identifiers among what was found."""
        found = self.count - len(self.missed)
        return found / (found + len(self.mistaken))


@cache
def accuracy(kind: Kind) -> Accuracy:
    """Measure *kind* on `COUNT` texts with one of it and as many without."""
    results = [(one, clean_text(one.text)) for one in positives(kind, COUNT)]
    missed = [(one.text, cleaned) for one, cleaned in results if remains(one.part, one.text, cleaned)]
    others = [(text, clean_text(text)) for text in negatives(kind, COUNT)]
    return Accuracy(COUNT, missed, [pair for pair in others if kind.mark in pair[1]])


def remains(part: str, text: str, cleaned: str) -> bool:
    """Return whether six characters of *part* in a row, which *text* has nowhere else, are in *cleaned*."""
    around = text.replace(part, "\n")
    pieces = {part[at : at + _PIECE] for at in range(max(1, len(part) - _PIECE + 1))}
    return any(piece in cleaned and piece not in around for piece in pieces)


@cache
def touched() -> dict[str, list[tuple[object, object]]]:
    """Return which of `BENIGN_COUNT` benign values a kept field changes, by kind: before and after."""
    redactor = Redactor(parse_policy({"keep": ["value"]}), Pseudonyms(bytes(32)))
    changed: dict[str, list[tuple[object, object]]] = {kind: [] for kind in BENIGN}
    for kind, value in values(BENIGN_COUNT):
        stored = redactor.redact({"value": value}).values
        if stored != [value]:
            changed[kind].append((value, stored[0] if stored else None))
    return changed


def filled(page: str) -> str:
    """Return *page* with both tables as measured now."""
    tables = {"identifiers": _identifiers, "benign": _benign}
    return _PLACE.sub(lambda found: found[1] + tables[found[2]]() + found[3], page)


def _identifiers() -> str:
    def rows() -> Iterator[tuple[object, ...]]:
        for kind in KINDS:
            measured = accuracy(kind)
            yield kind.name, measured.count, f"{measured.recall:.3f}", f"{measured.precision:.3f}"

    return _table(("class", "n", "recall", "precision"), rows())


def _benign() -> str:
    counts = Counter(kind for kind, _value in values(BENIGN_COUNT))
    rows: list[tuple[object, ...]] = [
        (kind, counts[kind], len(some), f"{some[0][0]} → {some[0][1]}")
        for kind, some in touched().items()
        if some
    ]
    total = sum(map(len, touched().values()))
    rows.append(("all kinds", sum(counts.values()), f"{total} ({total / BENIGN_COUNT:.2%})", ""))
    return _table(("values", "n", "touched", "for example"), rows)


def _table(headings: tuple[object, ...], rows: Iterable[tuple[object, ...]]) -> str:
    lines = [headings, tuple("---" for _heading in headings), *rows]
    return "".join(f"| {' | '.join(map(str, line))} |\n" for line in lines)


if __name__ == "__main__":
    PAGE.write_text(filled(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
