"""Window rules."""

from __future__ import annotations

import pytest

from streamlab_plugin.detect.window import LATE_ARRIVALS, WindowCount, WindowRule, evaluate_windows

RULE = WindowRule(
    "high_error_rate",
    "Too many errors",
    "high_error_rate",
    levels=(("warning", 0.05), ("critical", 0.15)),
)


def severity(count: int, errors: int) -> str | None:
    """Return the severity that a window of one endpoint leads to."""
    found = evaluate_windows([RULE], {("http", "/a"): WindowCount(count, errors)})
    assert len(found) <= 1
    return found[0].severity if found else None


class TestEvaluateWindows:
    """The error rate of each endpoint against the levels."""

    @pytest.mark.parametrize(
        ("expected", "count", "errors"),
        [
            (None, 1000, 49),
            (None, 1000, 50),
            ("warning", 1000, 51),
            (None, 100, 5),
            ("warning", 100, 15),
            ("critical", 1000, 151),
            ("critical", 50, 50),
            (None, 49, 49),
            (None, 0, 0),
        ],
    )
    def test_levels(self, expected: str | None, count: int, errors: int) -> None:
        """A share equal to a level is allowed, the highest level wins, small windows are not judged."""
        assert expected == severity(count, errors)

    def test_trap_one_error_is_no_error_rate(self) -> None:
        """One failed request out of one raises nothing."""
        assert severity(1, 1) is None

    def test_finding(self) -> None:
        """A finding says which endpoint, what was measured and what was allowed."""
        counts = {("http", "/a"): WindowCount(300, 22), ("mqtt", "t"): WindowCount(300, 0)}
        (found,) = evaluate_windows([RULE], counts)
        assert ("http", "/a", 22 / 300, 0.05) == (found.protocol, found.endpoint, found.value, found.limit)
        assert "error rate 7.33 % > 5 % in 30 s (22 of 300 requests)" == found.message

    def test_every_endpoint_and_rule(self) -> None:
        """Each rule judges each endpoint."""
        counts = {("http", "/a"): WindowCount(100, 100), ("http", "/b"): WindowCount(100, 100)}
        assert 4 == len(evaluate_windows([RULE, RULE], counts))

    def test_late_arrivals(self) -> None:
        """The same levels on arrivals, in their own words."""
        rule = WindowRule(
            "behind", "", "behind", metric=LATE_ARRIVALS, window_s=10, levels=(("error", 0.25),)
        )
        (found,) = evaluate_windows([rule], {("other", "x"): WindowCount(1000, 300)})
        assert "behind schedule 30 % > 25 % in 10 s (300 of 1,000 arrivals)" == found.message
