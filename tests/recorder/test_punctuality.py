from __future__ import annotations

from streamlab_plugin.core.arrival import Counts
from streamlab_plugin.detect.window import WindowCount
from streamlab_plugin.recorder.punctuality import Punctuality

BEGIN = 1000.0


class TestPunctuality:
    """`Punctuality`."""

    def test_a_window_is_what_came_within_it(self) -> None:
        """Late ones, dropped ones, and those that wait still; at first since the run's beginning."""
        seen = Punctuality(BEGIN, 10)
        seen.look(BEGIN + 2, Counts(due=200, started=200, late=20, dropped=0))
        assert WindowCount(200, 20) == seen.window(10)
        for second in range(3, 14):
            seen.look(BEGIN + second, Counts(due=second * 100, started=250, late=20, dropped=5))
        assert WindowCount(1000, 1000) == seen.window(10)
        assert WindowCount(100, 100) == seen.window(1)

    def test_totals_from_before_are_no_event(self) -> None:
        """A recorder that follows another one begins where that one was."""
        seen = Punctuality(BEGIN, 10)
        seen.look(BEGIN + 500, Counts(due=50_000, started=50_000, late=9_000, dropped=0))
        assert WindowCount(0, 0) == seen.window(10)
