"""The bounded place between the request hook and the link.

`Handover.put` runs in a user's greenlet: it must neither block nor raise. A full buffer costs data, never
load, and every loss is counted by its reason.
"""

from __future__ import annotations

from typing import Any

# An estimate for a record without its payload; only the bound depends on it.
RECORD_BYTES = 400


class Handover:
    """Hold raw records until the link takes them.

    Args:
        capacity: Most records held at once.
        capacity_bytes: Most bytes held at once, payloads included.

    Raises:
        ValueError: a capacity is below 1.
    """

    __slots__ = ("_bytes", "_capacity", "_capacity_bytes", "_held", "dropped")

    def __init__(self, capacity: int = 100_000, capacity_bytes: int = 32 * 1024 * 1024) -> None:
        if capacity < 1 or capacity_bytes < 1:
            raise ValueError(f"capacities must be at least 1, got {capacity} and {capacity_bytes}")
        self._capacity = capacity
        self._capacity_bytes = capacity_bytes
        self._held: list[tuple[Any, ...]] = []
        self._bytes = 0
        self.dropped: dict[str, int] = {}

    # No lock: a greenlet gives way only where it blocks, and nothing here does.

    def put(self, record: tuple[Any, ...], payload_bytes: int = 0) -> bool:
        """Keep *record* (the fields of `RawRecord` in order); when full, count it and return False."""
        held_bytes = self._bytes + payload_bytes + RECORD_BYTES
        if len(self._held) >= self._capacity or held_bytes > self._capacity_bytes:
            self.dropped["handover_full"] = self.dropped.get("handover_full", 0) + 1
            return False
        self._held.append(record)
        self._bytes = held_bytes
        return True

    def take(self) -> list[tuple[Any, ...]]:
        """Return everything held, oldest first, and leave the buffer empty."""
        taken, self._held = self._held, []
        self._bytes = 0
        return taken

    def __len__(self) -> int:
        return len(self._held)
