"""Which fix comes first."""

from __future__ import annotations

import pytest

from streamlab_plugin.detect.rule import Fix
from streamlab_plugin.knowledge.fix import Suggestion, suggest


def fix(title: str, confidence: float) -> Fix:
    """Return a fix of a rule."""
    return Fix("caching", title, ("Do it",), "low", confidence)


class TestSuggest:
    """Fixes of a rule become suggestions of a signature."""

    def test_priority(self) -> None:
        """Priority is severity weight × confidence; everything else is taken over."""
        assert [Suggestion("caching", "A", ("Do it",), "low", 0.5, 2.0)] == suggest(
            [fix("A", 0.5)], "critical"
        )

    @pytest.mark.parametrize(("expected", "severity"), [(0.5, "info"), (1.0, "warning"), (1.5, "error")])
    def test_weight(self, expected: float, severity: str) -> None:
        """The graver the finding, the higher the priority of the same fix."""
        assert expected == suggest([fix("A", 0.5)], severity)[0].priority

    def test_order(self) -> None:
        """Highest first; equal ones stay in the rule's order."""
        found = suggest([fix("A", 0.0), fix("B", 0.8), fix("C", 1.0), fix("D", 0.8)], "error")
        assert ["C", "B", "D", "A"] == [suggestion.title for suggestion in found]

    def test_none(self) -> None:
        """A rule without fixes leads to no suggestions."""
        assert [] == suggest([], "info")
