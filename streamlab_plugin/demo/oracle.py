"""The target's own log of what it saw and sent: the truth that Streamlab's rows are compared with.

It holds numbers, ids and endpoints, never a body, so no personal value can get into it.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Literal

import msgspec

What = Literal["request", "connect", "message", "push", "drop", "publish", "deliver"]


class Line(msgspec.Struct, frozen=True):
    """One thing seen or sent; ``t`` is epoch seconds.

    ``corr`` is the correlation id, ``seq`` the sender's number of the message, ``stream`` what that number
    counts in (WebSocket: the device; MQTT: the payload's stream), ``client`` the MQTT client id.
    """

    t: float
    protocol: Literal["http", "websocket", "mqtt"]
    what: What
    endpoint: str
    corr: str | None = None
    seq: str | int | None = None
    stream: str | None = None
    status: int | None = None
    client: str | None = None


class OracleLog:
    """Collect lines in memory and append them to a file when told to.

    Args:
        path: The file, emptied first; None keeps nothing.

    Raises:
        OSError: The file cannot be written.
    """

    def __init__(self, path: Path | None) -> None:
        self._file = open(path, "wb", buffering=0) if path else None  # noqa: SIM115
        self._lines: list[bytes] = []
        self._encoder = msgspec.json.Encoder()

    def note(
        self,
        protocol: Literal["http", "websocket", "mqtt"],
        what: What,
        endpoint: str,
        *,
        corr: str | None = None,
        seq: str | int | None = None,
        stream: str | None = None,
        status: int | None = None,
        client: str | None = None,
    ) -> None:
        """Add a line with the current time; see `Line` for the fields."""
        if self._file is not None:
            line = Line(time.time(), protocol, what, endpoint, corr, seq, stream, status, client)
            self._lines.append(self._encoder.encode(line))

    def flush(self) -> None:
        """Write what has been collected."""
        if self._file is not None and self._lines:
            taken, self._lines = self._lines, []
            self._file.write(b"\n".join(taken) + b"\n")

    def close(self) -> None:
        """Write the rest and close the file; what is noted later is lost."""
        self.flush()
        if self._file is not None:
            self._file.close()
            self._file = None


def text_or_none(value: object) -> str | None:
    """Return *value* if it is a text, else None: ids come from strangers."""
    return value if isinstance(value, str) else None


def number_or_none(value: object) -> str | int | None:
    """Return *value* if it can be a sequence number, else None."""
    return value if isinstance(value, str | int) and not isinstance(value, bool) else None
