"""What one stream has said and the recorder has not yet confirmed."""

from __future__ import annotations

from collections import deque
from collections.abc import Container, Iterator
from dataclasses import dataclass, field

import msgspec

from streamlab_plugin.link.message import OpenProcess, encode


@dataclass(slots=True)
class Track:
    """One run as one Locust process told it: opening words, unacknowledged frames, closing words."""

    run: str
    open_run: bytes | None = None
    open_process: OpenProcess | None = None
    stop_run: bytes | None = None
    process: str | None = None
    is_closed: bool = False
    unacked: deque[tuple[int, bytes]] = field(default_factory=deque)
    unacked_bytes: int = 0
    last_number: int = 0
    acknowledged: int = 0

    def next_number(self) -> int:
        """Return the number for the stream's next message, from 1."""
        self.last_number += 1
        return self.last_number

    def keep(self, number: int, body: bytes) -> bytes:
        """Remember *body* until it is acknowledged, and return it."""
        self.unacked.append((number, body))
        self.unacked_bytes += len(body)
        return body

    def acknowledge(self, number: int) -> None:
        """Forget everything up to *number*."""
        self.acknowledged = max(self.acknowledged, number)
        while self.unacked and self.unacked[0][0] <= number:
            self.unacked_bytes -= len(self.unacked.popleft()[1])

    def retold(self) -> Iterator[bytes]:
        """Yield what a new recorder must be told, in order."""
        if self.open_run is not None:
            yield self.open_run
        if self.open_process is not None:
            again = {"is_retold": True, "acknowledged": self.acknowledged}
            yield encode(msgspec.structs.replace(self.open_process, **again))
        for _number, body in self.unacked:
            yield body
        if self.stop_run is not None:
            yield self.stop_run

    def is_finished(self, verdicts: Container[str]) -> bool:
        """Whether nothing of this track will be needed again."""
        is_drained = not self.unacked and (self.is_closed or self.process is None)
        return is_drained and (self.open_run is None or self.run in verdicts)
