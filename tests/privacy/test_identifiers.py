"""How many structured identifiers in error texts are found, and how much is taken for one."""

from __future__ import annotations

import pytest

from tests.privacy.identifier import KINDS, Kind, negatives, positives
from tests.privacy.measurement import COUNT, PAGE, accuracy, filled

LEAST_RECALL, LEAST_PRECISION = 0.99, 0.95


@pytest.mark.parametrize("kind", KINDS, ids=[kind.name for kind in KINDS])
class TestAccuracy:
    """`clean_text` on sentences of drivers, servers, brokers and Python."""

    def test_recall(self, kind: Kind) -> None:
        """Of 99 in 100 identifiers no six characters in a row stay."""
        measured = accuracy(kind)
        assert LEAST_RECALL <= measured.recall, measured.missed

    def test_precision(self, kind: Kind) -> None:
        """At most 5 in 100 findings are numbers, names or marks that only look like one."""
        measured = accuracy(kind)
        assert LEAST_PRECISION <= measured.precision, measured.mistaken

    def test_corpus(self, kind: Kind) -> None:
        """The corpus is large, varied and says which part of a text is the identifier."""
        some = list(positives(kind, COUNT))
        assert 500 <= COUNT
        assert COUNT * 0.9 <= len({one.text for one in some})
        assert all(one.part in one.text for one in some)
        assert COUNT * 0.5 <= len(set(negatives(kind, COUNT)))


class TestPage:
    """docs/privacy.md."""

    def test_tables_are_measured(self) -> None:
        """Its tables say what is measured here; `python -m tests.privacy.measurement` renews them."""
        page = PAGE.read_text(encoding="utf-8")
        assert "<!-- measured: identifiers -->" in page
        assert "<!-- measured: benign -->" in page
        assert filled(page) == page
