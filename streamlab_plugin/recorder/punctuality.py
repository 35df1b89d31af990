"""Whether the load generator keeps to its schedule: what became of the arrivals in the last seconds.

A process reports totals; what happened in a window is the difference of two of the watch's looks.
"""

from __future__ import annotations

from collections import deque

from streamlab_plugin.core.arrival import Counts
from streamlab_plugin.detect.window import WindowCount


class Punctuality:
    """The totals of a run's arrivals at the last looks.

    Args:
        began_at: When the run began (epoch seconds); nothing was due before.
        keep_s: The longest window.
    """

    def __init__(self, began_at: float, keep_s: int) -> None:
        self._began_at = began_at
        self._keep_s = keep_s
        self._looks: deque[tuple[float, Counts]] = deque()

    def look(self, now: float, totals: Counts) -> None:
        """Take in the run's totals by *now*."""
        if not self._looks:
            # A recorder that follows another one in mid-run has not seen how it came to these totals.
            is_first = now - self._began_at <= self._keep_s
            self._looks.append((self._began_at, Counts()) if is_first else (now, totals))
        self._looks.append((now, totals))
        while len(self._looks) > 2 and self._looks[1][0] <= now - self._keep_s:
            self._looks.popleft()

    def window(self, window_s: int) -> WindowCount:
        """Return how many arrivals were due in the last *window_s* seconds, and how many not on time."""
        now, totals = self._looks[-1]
        before = next(
            (counts for at, counts in reversed(self._looks) if at <= now - window_s), self._looks[0][1]
        )
        # An arrival that was just due at the last look may have started on time since.
        return WindowCount(totals.due - before.due, max(0, totals.behind - before.behind))
