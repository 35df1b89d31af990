"""The format of server-sent events: bytes in, events out.

As the WHATWG HTML standard has it (section 9.2.6, interpreting an event stream): LF, CR or CRLF ends a line,
a blank line ends an event, and what is unknown is ignored.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

_BOM = b"\xef\xbb\xbf"
_LONGEST_RETRY_MS = 999_999_999


class EventTooLargeError(ValueError):
    """An event or a line is larger than the parser keeps."""


class ServerEvent:
    """An event that has arrived: its ``type``, the last ``id``, and its data as UTF-8 bytes (``raw``)."""

    __slots__ = ("id", "raw", "type")

    def __init__(self, kind: str, event_id: str, raw: bytes) -> None:
        self.type = kind
        self.id = event_id
        self.raw = raw

    @property
    def data(self) -> str:
        """The data as text; what is not UTF-8 is replaced."""
        return self.raw.decode(errors="replace")

    def json(self) -> Any:
        """Return what the data says as JSON.

        Raises:
            msgspec.DecodeError: It is no JSON.
        """
        return msgspec.json.decode(self.raw)


class EventParser:
    """Find the events in one connection's stream.

    Args:
        limit_bytes: The largest event that is kept.
        last_id: What the stream before this connection's last said.
    """

    def __init__(self, limit_bytes: int, last_id: str = "") -> None:
        self._limit_bytes = limit_bytes
        self._line = bytearray()  # one that has not ended
        self._follows_cr = False
        self._is_first_line = True
        self._data: list[bytes] = []
        self._data_bytes = 0
        self._type = ""
        self._id = last_id
        self.last_id = last_id
        self.retry_ms: int | None = None  # how long to wait before reconnecting, if the server said so

    def feed(self, chunk: bytes) -> Iterator[ServerEvent]:
        """Yield the events that *chunk* completes; to be run to its end.

        Raises:
            EventTooLargeError: The event that has begun exceeds the limit; nothing can be fed any more.
        """
        if self._follows_cr and chunk.startswith(b"\n"):
            chunk = chunk[1:]
            self._follows_cr = False
        if not chunk:
            return
        self._follows_cr = chunk.endswith(b"\r")
        lines = chunk.splitlines()
        rest = b"" if chunk.endswith((b"\n", b"\r")) else lines.pop()
        for line in lines:
            if self._line:
                self._line += line
                line = bytes(self._line)
                self._line.clear()
            event = self._end_line(line)
            if event is not None:
                yield event
        self._line += rest
        if len(self._line) + self._data_bytes > self._limit_bytes:
            raise EventTooLargeError(f"an event is larger than {self._limit_bytes} bytes")

    def _end_line(self, line: bytes) -> ServerEvent | None:
        if self._is_first_line:
            self._is_first_line = False
            line = line.removeprefix(_BOM)
        if not line:
            return self._dispatch()
        field, _colon, value = line.partition(b":")
        self._set(field, value.removeprefix(b" "))
        return None

    def _set(self, field: bytes, value: bytes) -> None:
        if field == b"data":
            self._data.append(value)
            self._data_bytes += len(value) + 1
        elif field == b"event":
            self._type = value.decode(errors="replace")
        elif field == b"id":
            if b"\0" not in value:
                self._id = value.decode(errors="replace")
        elif field == b"retry" and value.isdigit():
            self.retry_ms = min(int(value[:10]), _LONGEST_RETRY_MS)

    def _dispatch(self) -> ServerEvent | None:
        kind, self._type = self._type, ""
        self.last_id = self._id
        if not self._data:
            return None
        raw = b"\n".join(self._data)
        self._data.clear()
        self._data_bytes = 0
        return ServerEvent(kind or "message", self.last_id, raw)
