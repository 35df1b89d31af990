from __future__ import annotations

import pytest

from streamlab_plugin.core.arrival import Counts
from streamlab_plugin.core.beat import Beat, Tally


class TestBeat:
    def test_on_time(self) -> None:
        """A message is taken when it is due, not before; the next one is due an interval later."""
        tally = Tally()
        beat = Beat(10.0, lambda _due_s: 0.5, tally)
        assert [None, 10.0, None, 10.5] == [beat.take(now_s) for now_s in (9.9, 10.0, 10.4, 10.51)]
        assert (11.0, Counts(2, 2, 0, 0)) == (beat.next_s, tally.counts())

    def test_behind(self) -> None:
        """After a stall every message is taken, the oldest first, with the moment at which it was due."""
        tally = Tally()
        beat = Beat(0.0, lambda _due_s: 0.5, tally)
        assert [0.0, 0.5, 1.0, 1.5, 2.0, None] == [beat.take(now) for now in (0.0, 2.1, 2.1, 2.1, 2.1, 2.1)]
        assert Counts(due=5, started=5, late=4, dropped=0) == tally.counts()
        assert 4 == tally.counts().behind

    def test_dropped(self) -> None:
        """What has waited for more than 30 s is not sent any more, but counted."""
        tally = Tally()
        beat = Beat(0.0, lambda _due_s: 1.0, tally)
        assert 70.0 == beat.take(100.0)
        assert Counts(due=71, started=1, late=1, dropped=70) == tally.counts()

    def test_a_long_stall_at_a_high_rate(self) -> None:
        """Dropping costs the same, however many they are."""
        tally = Tally()
        beat = Beat(0.0, lambda _due_s: 1e-6, tally)
        assert 7200.0 - 30.0 == pytest.approx(beat.take(7200.0))
        assert 7_170_000_000 == pytest.approx(tally.dropped, abs=2)

    def test_a_rate_that_changes(self) -> None:
        """The interval is that of the moment at which a message is due, however late it is sent."""
        beat = Beat(0.0, lambda due_s: 0.125 if 1.0 <= due_s < 1.5 else 0.5, Tally())
        taken = [beat.take(2.0) for _ in range(8)]
        assert [0.0, 0.5, 1.0, 1.125, 1.25, 1.375, 1.5, 2.0] == taken

    def test_stop(self) -> None:
        """What is overdue at the end is dropped; what has just become due is neither."""
        tally = Tally()
        beat = Beat(0.0, lambda _due_s: 0.5, tally)
        beat.take(0.0)
        beat.stop(2.01)
        assert Counts(due=4, started=1, late=0, dropped=3) == tally.counts()
        beat.stop(2.01)
        assert 4 == tally.counts().due

    def test_one_tally_for_all(self) -> None:
        """The connections of a process count together."""
        tally = Tally()
        for _ in range(3):
            Beat(0.0, lambda _due_s: 1.0, tally).take(0.0)
        assert 3 == tally.counts().due
