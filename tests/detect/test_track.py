"""Numbers of a stream: against a list of everything that came."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamlab_plugin.detect.track import MOST_SPANS, Track, overlap, shared, within

# Numbers as they come: mostly in order, some twice, late, or not at all.
CAME = st.lists(st.integers(1, 40), max_size=60)
Counts = tuple[int, int, int, list[int]]


def runs(came: list[int]) -> list[tuple[int, int]]:
    """Return *came* as runs without a gap, in order."""
    found: list[tuple[int, int]] = []
    for number in came:
        if found and number == found[-1][1] + 1:
            found[-1] = found[-1][0], number
        else:
            found.append((number, number))
    return found


def tracked(came: list[int]) -> Track:
    """Return the track of *came*."""
    track = Track()
    for first, last in runs(came):
        track.add(first, last)
    return track


def counts(track: Track) -> Counts:
    """Return what *track* knows."""
    return track.count, track.duplicates, track.reordered, numbers(track.spans)


def numbers(spans: list[tuple[int, int]]) -> list[int]:
    """Return every number in *spans*."""
    return [number for first, last in spans for number in range(first, last + 1)]


def one_by_one(came: list[int]) -> Counts:
    """Return the same by looking at each number."""
    seen: set[int] = set()
    duplicates = reordered = 0
    for number in came:
        if number in seen:
            duplicates += 1
        elif seen and number < max(seen):
            reordered += 1
        seen.add(number)
    return len(came), duplicates, reordered, sorted(seen)


class TestTrack:
    """`Track`."""

    @given(CAME)
    def test_is_what_one_by_one_gives(self, came: list[int]) -> None:
        """Count, duplicates, late ones and every number."""
        assert one_by_one(came) == counts(tracked(came))

    @given(CAME)
    def test_spans_are_apart_and_in_order(self, came: list[int]) -> None:
        """Between two of them at least one number is missing."""
        spans = tracked(came).spans
        assert all(last + 1 < first for (_first, last), (first, _last) in pairwise(spans))

    @given(CAME, CAME)
    def test_two_processes_of_one_group(self, one: list[int], other: list[int]) -> None:
        """What both have seen is a duplicate."""
        track = tracked(one)
        track.merge(tracked(other))
        every = sorted({*one, *other})
        assert (len(one) + len(other) - len(every), every) == (track.duplicates, numbers(track.spans))

    def test_a_long_run_costs_one_span(self) -> None:
        """Whatever its length."""
        track = tracked([1])
        track.add(2, 10**9)
        assert [(1, 10**9)] == track.spans

    def test_it_does_not_grow_without_bound(self) -> None:
        """Of the oldest gaps only the size is remembered."""
        track = tracked(list(range(1, 3 * MOST_SPANS, 2)))
        assert MOST_SPANS == len(track.spans)
        missing = sum(later - last - 1 for (_first, last), (later, _last) in pairwise(track.spans))
        assert 3 * MOST_SPANS // 2 - 1 == track.forgotten + missing


class TestSets:
    """`overlap`, `shared`, `within`."""

    @given(CAME, CAME, st.integers(0, 41), st.integers(0, 41))
    def test_are_what_sets_give(self, one: list[int], other: list[int], first: int, last: int) -> None:
        """On any spans."""
        spans, others = tracked(one).spans, tracked(other).spans
        cut = {number for number in one if first <= number <= last}
        assert len(cut) == overlap(spans, first, last)
        assert sorted(cut) == numbers(within(spans, first, last))
        assert len({*one} & {*other}) == shared(spans, others)


@pytest.mark.parametrize("came", [[], [5], [5, 5], [2, 1], [1, 3, 2], [3, 4, 1, 2, 3]])
def test_examples(came: list[int]) -> None:
    """Small ones, which a reader can follow."""
    assert one_by_one(came) == counts(tracked(came))
