"""A publish or subscribe under way."""

from __future__ import annotations

from time import perf_counter
from typing import Any

from gevent.lock import Semaphore


class Exchange:
    """A publish or subscribe between its send and its acknowledgement; times are `perf_counter` readings.

    Args:
        operation: ``publish`` or ``subscribe``.
        name: Under which it is recorded.
        extra: More fields of its record.
        size_bytes: Of what is sent.
        slots: Where it holds a place until it ends.
    """

    __slots__ = (
        "ended",
        "error",
        "extra",
        "is_done",
        "mid",
        "name",
        "operation",
        "size_bytes",
        "slots",
        "started",
        "status",
        "waiter",
    )

    def __init__(
        self,
        operation: str,
        name: str,
        extra: dict[str, Any] | None = None,
        size_bytes: int = 0,
        slots: Semaphore | None = None,
    ) -> None:
        self.operation = operation
        self.name = name
        self.extra = extra or {}
        self.size_bytes = size_bytes
        self.slots = slots
        self.started = perf_counter()
        self.ended = 0.0
        self.mid = 0
        self.is_done = False
        self.status: int | None = None
        self.error: Exception | None = None
        self.waiter: Any = None  # set while a greenlet waits; without one the row is fired aside

    def end(self, status: int | None, error: Exception | None, arrived: float | None = None) -> None:
        """Say how it ended, and when the acknowledgement arrived; without one it ends now."""
        self.is_done = True
        self.ended = perf_counter() if arrived is None else max(self.started, arrived)
        self.status = status
        self.error = error
        self.release()

    def release(self) -> None:
        """Give the place back."""
        if self.slots is not None:
            self.slots.release()
            self.slots = None
