"""What was lost, doubled, late or unaccounted: against messages counted one by one."""

from __future__ import annotations

from dataclasses import asdict

from hypothesis import given
from hypothesis import strategies as st

from streamlab_plugin.detect.delivery import UNTRACKED, Delivered, Deliveries, Tracked, account
from streamlab_plugin.detect.track import Track


def tracked(role: str, came: list[int], subscriber: str = "", stream: str = "s") -> Tracked:
    """Return what one side saw."""
    track = Track()
    for number in came:
        track.add(number, number)
    return Tracked(role, stream, subscriber, "t/#", track)


def sent(*numbers: int) -> Tracked:
    """Return acknowledged publishes."""
    return tracked("sent", list(numbers))


def got(*numbers: int, subscriber: str = "a") -> Tracked:
    """Return deliveries."""
    return tracked("got", list(numbers), subscriber)


def counted(*found: Tracked) -> Delivered:
    """Return the sum over all streams."""
    deliveries = account(found)
    assert deliveries is not None
    return deliveries.everything


class TestAccount:
    """`account`."""

    def test_all_is_well(self) -> None:
        """Everything that was sent came once, to both."""
        found = counted(sent(1, 2, 3), got(1, 2, 3), got(2, 3, subscriber="b"))
        wanted = {"published": 3, "delivered": 5, "expected": 5, "subscribers": 2, "streams": 1}
        assert {**asdict(Delivered()), **wanted} == asdict(found)

    def test_lost(self) -> None:
        """What is missing between the first and the last that came."""
        assert 2 == counted(sent(1, 2, 3, 4, 5), got(1, 3, 5)).lost

    def test_one_that_failed_is_never_lost(self) -> None:
        """It may have come or not."""
        found = counted(sent(1, 3), tracked("failed", [2]), got(1, 3))
        assert (0, 1) == (found.lost, found.unacknowledged)

    def test_unaccounted(self) -> None:
        """Nobody has got it, or anything later."""
        found = counted(sent(1, 2, 3, 4), got(1), got(1, 2, subscriber="b"))
        assert (0, 2) == (found.lost, found.unaccounted)

    def test_before_the_first(self) -> None:
        """A subscriber that came late has lost nothing."""
        assert (0, 2) == (
            counted(sent(1, 2, 3, 4), got(3, 4)).lost,
            counted(sent(1, 2, 3), got(2, 3)).expected,
        )

    def test_unheard(self) -> None:
        """A stream that nobody got anything of is no loss, but said."""
        found = counted(sent(1, 2))
        assert (1, 0, 0) == (found.unheard, found.lost, found.unaccounted)
        assert "none of which came to a subscriber" in found.text()

    def test_a_group_in_two_processes(self) -> None:
        """Members of a shared subscription are one subscriber."""
        found = counted(sent(1, 2, 3, 4, 5), got(1, 4), got(2, 5))
        assert (1, 1, 0) == (found.subscribers, found.lost, found.duplicates)

    def test_streams_of_others(self) -> None:
        """What nobody of this test has published counts nowhere."""
        assert account([got(1, 2)]) is None
        assert 1 == counted(sent(1), tracked("got", [7, 9], "a", "foreign")).streams

    def test_one_subscriber_of_many_streams(self) -> None:
        """It is counted once."""
        found = [
            tracked(role, [1], who, name) for name in "xyz" for role, who in (("sent", ""), ("got", "a"))
        ]
        assert (1, 3) == (counted(*found).subscribers, counted(*found).streams)

    def test_beyond_the_limit(self) -> None:
        """Messages that are not tracked make the answer inexact."""
        assert not counted(sent(1), tracked("sent", [1], stream=UNTRACKED)).is_exact

    def test_worst_endpoint_first(self) -> None:
        """By what was lost."""
        good = tracked("sent", [1, 2, 3], stream="good")._replace(endpoint="good")
        found = account([good, tracked("got", [1, 2, 3], "a", "good"), sent(1, 2, 3), got(1, 3)])
        assert found is not None
        assert ["t/#", "good"] == [one.endpoint for one in found.endpoints]

    def test_way_back(self) -> None:
        """What is stored is read again."""
        found = account([sent(1, 2, 3), got(1, 3)])
        assert found is not None
        assert found == Deliveries.from_dict(found.to_dict())

    @given(
        st.lists(st.sampled_from(["sent", "failed", "never"]), max_size=30),
        st.lists(st.lists(st.integers(1, 30), max_size=40), max_size=3),
    )
    def test_is_what_one_by_one_gives(self, ends: list[str], came: list[list[int]]) -> None:
        """For any ends of publishes and any deliveries."""
        by_end = {
            end: [number for number, one in enumerate(ends, 1) if one == end] for end in ("sent", "failed")
        }
        sides = [tracked(end, numbers) for end, numbers in by_end.items() if numbers]
        listeners = [numbers for numbers in came if numbers]
        sides += [got(*numbers, subscriber=str(at)) for at, numbers in enumerate(listeners)]
        if not any(by_end.values()):
            assert account(sides) is None
            return
        found = counted(*sides)
        due = [{n for n in by_end["sent"] if min(one) <= n <= max(one)} for one in listeners]
        assert sum(len(one) for one in due) == found.expected
        assert sum(len(one - {*numbers}) for one, numbers in zip(due, listeners, strict=True)) == found.lost
        assert sum(len(one) - len({*one}) for one in listeners) == found.duplicates
        highest = max((max(one) for one in listeners), default=None)
        tail = [] if highest is None else [n for n in by_end["sent"] if n > highest]
        assert len(tail) == found.unaccounted
