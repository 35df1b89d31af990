"""The bounded place between the request hook and the link.

`Handover.put` runs in a user's greenlet: it must neither block nor raise. A full buffer costs data, never
load, and every loss is counted by its reason.

Records are encoded at once into a growing buffer instead of being held as tuples: that is exact about bytes,
needs no second pass, and leaves nothing for the garbage collector to look through.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

# A chunk is handed over as one frame.
CHUNK_RECORDS = 512
CHUNK_BYTES = 64 * 1024


class Handover:
    """Hold encoded records until the link takes them.

    Args:
        encode_into: Appends a record (the fields of `RawRecord` in order) to a buffer from a position on, -1
            for its end; may raise for a value that cannot be encoded.
        capacity_bytes: Most bytes held at once.

    Raises:
        ValueError: the capacity is below 1.
    """

    __slots__ = ("_buffer", "_capacity_bytes", "_count", "_encode_into", "_full", "_full_bytes", "dropped")

    def __init__(
        self,
        encode_into: Callable[[tuple[Any, ...], bytearray, int], None],
        capacity_bytes: int = 32 * 1024 * 1024,
    ) -> None:
        if capacity_bytes < 1:
            raise ValueError(f"capacity must be at least 1 byte, got {capacity_bytes}")
        self._encode_into = encode_into
        self._capacity_bytes = capacity_bytes
        self._buffer = bytearray()
        self._count = 0
        self._full: list[tuple[int, bytearray]] = []
        self._full_bytes = 0
        self.dropped: dict[str, int] = {}

    # No lock: a greenlet gives way only where it blocks, and nothing here does.

    def put(self, record: tuple[Any, ...]) -> bool:
        """Keep *record*; when full or not encodable, count it in `dropped` and return False."""
        buffer = self._buffer
        before = len(buffer)
        if before + self._full_bytes >= self._capacity_bytes:
            self.drop("handover_full")
            return False
        try:
            self._encode_into(record, buffer, -1)
        except Exception:  # noqa: BLE001 - whatever odd value it is, it costs this record only
            del buffer[before:]
            self.drop("unencodable")
            return False
        self._count += 1
        if self._count >= CHUNK_RECORDS or len(buffer) >= CHUNK_BYTES:
            self._cut()
        return True

    def drop(self, reason: str, count: int = 1) -> None:
        """Count records that are lost."""
        self.dropped[reason] = self.dropped.get(reason, 0) + count

    def take(self) -> list[tuple[int, bytearray]]:
        """Return everything held as chunks (number of records, their bytes), oldest first, and be empty."""
        if self._count:
            self._cut()
        taken, self._full, self._full_bytes = self._full, [], 0
        return taken

    def _cut(self) -> None:
        self._full.append((self._count, self._buffer))
        self._full_bytes += len(self._buffer)
        self._buffer, self._count = bytearray(), 0
