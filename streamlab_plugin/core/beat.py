"""When the messages of one connection are due: at its rate, whether or not the one before has had its answer.

A connection that waits for its server is behind its schedule; what it then sends late says how late it is, so
that a stall is not missing from the measurement (coordinated omission).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from streamlab_plugin.core.arrival import DROP_AFTER_S, LATE_S, Counts


@dataclass(slots=True)
class Tally:
    """What became of the messages of all connections of a process, each counted when it is taken."""

    started: int = 0
    late: int = 0
    dropped: int = 0

    def counts(self) -> Counts:
        """Return the totals by now."""
        return Counts(self.started + self.dropped, self.started, self.late, self.dropped)


class Beat:
    """The schedule of one connection; every time is a reading of the same clock, in seconds.

    Args:
        first_s: When the first message is due.
        interval_s: Returns how long after a message that is due at a moment the next one is.
        tally: Counts the messages.
    """

    __slots__ = ("_interval_s", "_tally", "next_s")

    def __init__(self, first_s: float, interval_s: Callable[[float], float], tally: Tally) -> None:
        self.next_s = first_s
        self._interval_s = interval_s
        self._tally = tally

    def take(self, now_s: float) -> float | None:
        """Return when the oldest message that waits was due, or None when none is due."""
        self._drop_until(now_s - DROP_AFTER_S)
        due_s = self.next_s
        if due_s > now_s:
            return None
        self.next_s = due_s + self._interval_s(due_s)
        self._tally.started += 1
        if now_s - due_s > LATE_S:
            self._tally.late += 1
        return due_s

    def stop(self, now_s: float) -> None:
        """Count what is overdue as dropped: nobody will send it any more."""
        self._drop_until(now_s - LATE_S)

    def _drop_until(self, limit_s: float) -> None:
        """Drop what was due before *limit_s*: as many as by the rate of the moment when the first was due."""
        if self.next_s < limit_s:
            interval_s = self._interval_s(self.next_s)
            count = math.ceil((limit_s - self.next_s) / interval_s)
            self.next_s += count * interval_s
            self._tally.dropped += count
