"""One process's part of the arrivals of a schedule: what is due, late, dropped.

An arrival is due whether or not anybody is free to serve it. Who comes late takes the oldest that waits; what
has waited too long is dropped and counted, so that nothing is lost without a word.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from itertools import chain, takewhile
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from streamlab_plugin.core.schedule import Schedule

# An arrival that starts later than this is late; timers and the event loop need a few milliseconds.
LATE_S = 0.02
# Nobody serves an arrival that has waited longer.
DROP_AFTER_S = 30.0
# Nor more of them than this at once.
BACKLOG = 100_000


class Share(NamedTuple):
    """Which arrivals a process takes from *since_s* on: every *of*-th, beginning with number *rank*.

    A *rank* below 0 takes none.
    """

    rank: int = 0
    of: int = 1
    since_s: float = 0.0


class Counts(NamedTuple):
    """Totals of a process: arrivals that were due by now, and what became of them.

    ``late`` are among the ``started``; what is neither started nor dropped still waits for a user.
    """

    due: int = 0
    started: int = 0
    late: int = 0
    dropped: int = 0

    @property
    def behind(self) -> int:
        """Arrivals that did not start on time: late, dropped, or waiting still."""
        return self.due - (self.started - self.late)

    def named(self) -> dict[str, int]:
        """Return all of them by name, as pages and commands show them."""
        return {**self._asdict(), "behind": self.behind}


class ArrivalQueue:
    """Hand out a process's arrivals in order; every time is in seconds from the schedule's start."""

    def __init__(self, schedule: Schedule, share: Share) -> None:
        self._schedule = schedule
        self._coming: Iterator[float] = self._arrivals(share)
        self._next_s = next(self._coming, None)
        self._waiting: deque[float] = deque()
        self._is_stopped = False
        self._due = self._started = self._late = self._dropped = 0

    @property
    def next_s(self) -> float | None:
        """When the next arrival will be due, None when there is none left."""
        return None if self._is_stopped else self._next_s

    def share(self, share: Share) -> None:
        """Take another share from its ``since_s`` on; until then the present one holds."""
        present = chain(() if self._next_s is None else (self._next_s,), self._coming)
        kept = list(takewhile(lambda due_s: due_s < share.since_s, present))
        self._coming = chain(kept, self._arrivals(share))
        self._next_s = next(self._coming, None)

    def take(self, now_s: float) -> float | None:
        """Return the offset of the oldest arrival that waits, or None when none is due."""
        self._pull(now_s)
        if not self._waiting:
            return None
        due_s = self._waiting.popleft()
        self._started += 1
        if now_s - due_s > LATE_S:
            self._late += 1
        return due_s

    def counts(self, now_s: float) -> Counts:
        """Return the totals by now."""
        self._pull(now_s)
        return Counts(self._due, self._started, self._late, self._dropped)

    def stop(self, now_s: float) -> None:
        """Hand out nothing any more; what is overdue counts as dropped."""
        self._pull(now_s)
        self._is_stopped = True
        overdue = sum(now_s - due_s > LATE_S for due_s in self._waiting)
        # What became due within the last moments nobody could have started on time.
        self._due -= len(self._waiting) - overdue
        self._dropped += overdue
        self._waiting.clear()

    def _pull(self, now_s: float) -> None:
        if self._is_stopped:
            return
        while self._next_s is not None and self._next_s <= now_s:
            self._waiting.append(self._next_s)
            self._due += 1
            self._next_s = next(self._coming, None)
            if len(self._waiting) > BACKLOG:
                self._drop_oldest()
        while self._waiting and now_s - self._waiting[0] > DROP_AFTER_S:
            self._drop_oldest()

    def _drop_oldest(self) -> None:
        self._waiting.popleft()
        self._dropped += 1

    def _arrivals(self, share: Share) -> Iterator[float]:
        if share.rank < 0:
            return
        for number, due_s in self._schedule.arrivals(share.since_s):
            if number % share.of == share.rank:
                yield due_s
