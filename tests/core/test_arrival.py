from __future__ import annotations

from itertools import chain

import pytest

from streamlab_plugin.core import arrival
from streamlab_plugin.core.arrival import ArrivalQueue, Counts, Share
from streamlab_plugin.core.schedule import parse_schedule


def queue(text: str, share: Share | None = None) -> ArrivalQueue:
    """Return a queue of a schedule's arrivals."""
    return ArrivalQueue(parse_schedule(text), share or Share())


def drain(one: ArrivalQueue) -> list[float]:
    """Take every arrival at the moment it is due."""
    taken = []
    while (next_s := one.next_s) is not None:
        found = one.take(next_s)
        assert found is not None
        taken.append(found)
    return taken


class TestArrivalQueue:
    """`ArrivalQueue`."""

    def test_nothing_before_it_is_due(self) -> None:
        """Then the oldest first, and nothing behind the last."""
        one = queue("10/s for 300ms")
        assert (0.0, None, 0.1) == (one.take(0.0), one.take(0.05), one.next_s)
        assert [0.1, 0.2, None] == [one.take(5.0), one.take(5.0), one.take(5.0)]
        assert one.next_s is None

    def test_late(self) -> None:
        """What starts later than a few milliseconds counts as late; what waits still is behind, too."""
        one = queue("10/s for 1s")
        for now_s in (0.001, 0.5, 0.5):
            one.take(now_s)
        assert Counts(due=6, started=3, late=2, dropped=0) == one.counts(0.5)
        assert 5 == one.counts(0.5).behind

    def test_dropped_after_too_long(self) -> None:
        """The user that comes then takes the oldest that is not too old."""
        one = queue("1/s for 60s")
        assert 10.0 == one.take(10.0 + arrival.DROP_AFTER_S)
        assert Counts(due=41, started=1, late=1, dropped=10) == one.counts(10.0 + arrival.DROP_AFTER_S)

    def test_never_more_than_the_backlog(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The oldest go first."""
        monkeypatch.setattr(arrival, "BACKLOG", 5)
        one = queue("100/s for 1s")
        assert 0.95 == one.take(2.0)
        assert Counts(due=100, started=1, late=1, dropped=95) == one.counts(2.0)

    def test_stop(self) -> None:
        """What is overdue then counts as dropped, what became due just now as if it had not."""
        one = queue("100/s for 10s")
        one.take(0.0)
        one.stop(0.505)
        assert (None, None) == (one.take(0.6), one.next_s)
        assert Counts(due=49, started=1, late=0, dropped=48) == one.counts(9.0)


class TestShare:
    """Processes that share a schedule."""

    @pytest.mark.parametrize("text", ["0..100/s over 5s, 100/s for 5s", "100/s for 10s, poisson"])
    @pytest.mark.parametrize("of", [1, 2, 3])
    def test_each_arrival_once(self, text: str, of: int) -> None:
        """Over all of them, in parts of nearly equal size."""
        parts = [drain(queue(text, Share(rank, of))) for rank in range(of)]
        assert [offset for _, offset in parse_schedule(text).arrivals()] == sorted(chain(*parts))
        assert all(len(parts[0]) == pytest.approx(len(part), rel=0.03) for part in parts)

    def test_a_process_goes_and_two_come(self) -> None:
        """From the agreed moment on they share anew; until then the old shares hold."""
        text = "100/s for 10s"
        stays, goes = (queue(text, Share(rank, 2)) for rank in (0, 1))
        comes = [queue(text, Share(-1, 2)) for _ in range(2)]
        assert [0.0, 0.01] == [stays.take(0.0), goes.take(0.01)]
        goes.share(Share(-1, 3, since_s=5.0))
        for rank, one in enumerate((stays, *comes)):
            one.share(Share(rank, 3, since_s=5.0))
        everything = [drain(one) for one in (stays, goes, *comes)]
        assert sorted([0.0, 0.01, *chain(*everything)]) == [k / 100 for k in range(1000)]
        assert (max(everything[1]), min(everything[2])) == (4.99, 5.02)

    def test_who_has_no_rank_takes_nothing(self) -> None:
        """Also of a schedule without end."""
        assert queue("100/s", Share(-1, 2)).next_s is None


class TestCounts:
    def test_named(self) -> None:
        """What is shown has those that did not start on time: late, dropped, or waiting."""
        counts = Counts(due=9, started=6, late=2, dropped=1)
        assert {"due": 9, "started": 6, "late": 2, "dropped": 1, "behind": 5} == counts.named()
