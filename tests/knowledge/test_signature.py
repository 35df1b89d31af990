"""What makes findings the same anomaly."""

from __future__ import annotations

import pytest

from streamlab_plugin.detect import rule
from streamlab_plugin.knowledge.signature import SEVERITIES, SEVERITY_WEIGHTS, fingerprint, worst

PARTS = ("slow_http", "http", "/api/items", "", "slow_http")


class TestFingerprint:
    """The name of a signature."""

    def test_trap_stable_across_runs_and_versions(self) -> None:
        """The digits are those of every other process, whatever its hash seed or key."""
        assert "a54e8c23fa4b562d" == fingerprint(*PARTS)

    def test_form(self) -> None:
        """It has 16 hex digits, also for texts outside ASCII."""
        assert 16 == len(fingerprint("slow_http", "http", "/café/\ud800", "", "r"))

    @pytest.mark.parametrize("index", range(5))
    def test_every_part_counts(self, index: int) -> None:
        """Another type, protocol, endpoint, error class or rule is another anomaly."""
        other = [*PARTS]
        other[index] += "x"
        assert fingerprint(*PARTS) != fingerprint(*other)

    def test_parts_do_not_run_together(self) -> None:
        """Moving a character from one part to the next changes the fingerprint."""
        assert fingerprint("a", "b", "cd", "e", "f") != fingerprint("a", "bc", "d", "e", "f")


class TestSeverity:
    """The order of severities."""

    def test_weights(self) -> None:
        """The weights rise from info to critical."""
        assert {"info": 1, "warning": 2, "error": 3, "critical": 4} == SEVERITY_WEIGHTS

    def test_same_as_in_rules(self) -> None:
        """Rules know exactly these severities, in this order."""
        assert SEVERITIES == rule.SEVERITIES

    @pytest.mark.parametrize(
        ("expected", "first", "second"),
        [("critical", "critical", "info"), ("error", "warning", "error"), ("info", "info", "info")],
    )
    def test_worst(self, expected: str, first: str, second: str) -> None:
        """The graver one wins from either side."""
        assert (expected, expected) == (worst(first, second), worst(second, first))

    def test_unknown(self) -> None:
        """What is no severity is an error, not the mildest one."""
        with pytest.raises(KeyError):
            worst("info", "fatal")
