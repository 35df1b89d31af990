"""Where in its schedule the target is; time begins with the first request, not with the process."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from streamlab_plugin.demo.schedule import Kind, Misbehaviour, Schedule


class Timeline:
    """Answer what is going wrong right now.

    Args:
        schedule: What goes wrong when.
        now: Seconds on any clock that never goes back.
    """

    def __init__(self, schedule: Schedule, now: Callable[[], float] = time.monotonic) -> None:
        self.schedule = schedule
        self.started_at: float | None = None  # epoch seconds
        self._now = now
        self._zero: float | None = None

    def begin(self) -> None:
        """Start the clock at the first call; later calls change nothing."""
        if self._zero is None:
            self._zero = self._now()
            self.started_at = time.time()

    @property
    def elapsed_s(self) -> float:
        """Seconds since the first request, -1 before it."""
        return -1.0 if self._zero is None else self._now() - self._zero

    def active(self, kind: Kind) -> Misbehaviour | None:
        """Return the entry of *kind* if it is going on now."""
        return self.schedule.active(kind, self.elapsed_s)

    @property
    def phase(self) -> str:
        """Say ``waiting`` before the first request, ``running`` during the schedule, then ``done``."""
        if self._zero is None:
            return "waiting"
        return "running" if self.elapsed_s < self.schedule.duration_s else "done"

    def as_json(self) -> dict[str, Any]:
        """Return the schedule with the epoch second it began at and what is going on now."""
        active = [kind for kind in self.schedule.entries if self.active(kind)]
        return {
            "seed": self.schedule.seed,
            "duration_s": self.schedule.duration_s,
            "started_at": self.started_at,
            "elapsed_s": self.elapsed_s,
            "phase": self.phase,
            "active": active,
            "schedule": self.schedule.as_json(),
        }
