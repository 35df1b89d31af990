"""Which numbers of a stream have come, and in which way: twice, late, or not at all.

A number is *late* (reordered) when it comes after a higher one, and a *duplicate* when it has come before, as
RFC 4737 and RFC 5560 define them for packets. What is remembered are spans of numbers without a gap; a stream
in good order is a single one.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from operator import itemgetter

# A stream with more gaps than this forgets where its oldest ones were, but not how much was missing there.
MOST_SPANS = 256

Span = tuple[int, int]  # first and last number, both included

_first = itemgetter(0)
_last = itemgetter(1)


class Track:
    """The numbers of one stream as one side saw them.

    ``count`` is how many came, duplicates included; ``forgotten`` how many were missing in gaps that are no
    longer remembered, where a late one counts as a duplicate.
    """

    __slots__ = ("count", "duplicates", "forgotten", "reordered", "spans")

    def __init__(
        self,
        spans: Sequence[Span] = (),
        count: int = 0,
        duplicates: int = 0,
        reordered: int = 0,
        forgotten: int = 0,
    ) -> None:
        self.spans = list(spans)
        self.count = count
        self.duplicates = duplicates
        self.reordered = reordered
        self.forgotten = forgotten

    def add(self, first: int, last: int) -> None:
        """Take in the numbers *first* … *last*, which came in this order."""
        self.count += last - first + 1
        spans = self.spans
        highest = spans[-1][1] if spans else first - 2
        if first == highest + 1:
            spans[-1] = spans[-1][0], last
        elif first > highest:
            spans.append((first, last))
            self._forget()
        else:
            seen = overlap(spans, first, last)
            self.duplicates += seen
            self.reordered += min(last, highest) - first + 1 - seen
            self._include(first, last)

    def merge(self, other: Track) -> None:
        """Take in what another process saw of the same stream; what both saw came twice."""
        self.count += other.count
        self.duplicates += other.duplicates
        self.reordered += other.reordered
        self.forgotten += other.forgotten
        for first, last in other.spans:
            self.duplicates += overlap(self.spans, first, last)
            self._include(first, last)

    def _include(self, first: int, last: int) -> None:
        """Make one span of *first* … *last* and all that it overlaps or adjoins."""
        spans = self.spans
        begin = bisect_left(spans, first - 1, key=_last)
        end = bisect_right(spans, last + 1, key=_first)
        if begin < end:
            first, last = min(first, spans[begin][0]), max(last, spans[end - 1][1])
        spans[begin:end] = [(first, last)]
        self._forget()

    def _forget(self) -> None:
        while len(self.spans) > MOST_SPANS:
            (first, end), (begin, last) = self.spans[:2]
            self.forgotten += begin - end - 1
            self.spans[:2] = [(first, last)]


def overlap(spans: Sequence[Span], first: int, last: int) -> int:
    """Return how many of the numbers *first* … *last* are in *spans*."""
    shared = 0
    for at in range(bisect_left(spans, first, key=_last), len(spans)):
        begin, end = spans[at]
        if begin > last:
            break
        shared += min(last, end) - max(first, begin) + 1
    return shared


def shared(spans: Sequence[Span], others: Sequence[Span]) -> int:
    """Return how many numbers are in both."""
    return sum(overlap(spans, first, last) for first, last in others)


def within(spans: Sequence[Span], first: int, last: int) -> list[Span]:
    """Return *spans* cut to *first* … *last*."""
    return [(max(first, begin), min(last, end)) for begin, end in spans if begin <= last and end >= first]
