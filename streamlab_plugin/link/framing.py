"""Length-prefixed messages on a byte stream."""

from __future__ import annotations

import struct

_LENGTH = struct.Struct(">I")

# Nothing legitimate comes near this; a larger length means the stream is broken.
MESSAGE_LIMIT_BYTES = 64 * 1024 * 1024


class FramingError(Exception):
    """The byte stream is not ours."""


def frame(body: bytes) -> bytes:
    """Return *body* with its length in front."""
    return _LENGTH.pack(len(body)) + body


class Unframer:
    """Cut a byte stream back into messages."""

    def __init__(self) -> None:
        self._held = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """Add received bytes and return the messages that are complete now.

        Raises:
            FramingError: a length above the limit.
        """
        held = self._held
        held += data
        messages: list[bytes] = []
        position = 0
        while len(held) - position >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(held, position)
            if length > MESSAGE_LIMIT_BYTES:
                raise FramingError(
                    f"message of {length} bytes announced, at most {MESSAGE_LIMIT_BYTES} allowed"
                )
            end = position + _LENGTH.size + length
            if len(held) < end:
                break
            messages.append(bytes(held[position + _LENGTH.size : end]))
            position = end
        if position:
            del held[:position]
        return messages
