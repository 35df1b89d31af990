"""A WebSocket server that sends every message back and logs when it saw it: the oracle of the fault tests.

``python fault_target.py LOG`` prints its port. It shares two cores with what is tested, so it speaks only as
much of the protocol as the tested client does: unfragmented text messages below 64 KB. A line of the log is
the wall time in seconds, a space, and the message; it is complete up to 100 ms ago, and whole after SIGTERM.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import re
import signal
import sys
import time
from typing import BinaryIO

from wsaccel.xormask import XorMaskerSimple  # type: ignore[import-untyped]

FLUSH_EVERY_S = 0.1
UPGRADED = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: %s\r\n\r\n"
)
KEY = re.compile(rb"(?im)^Sec-WebSocket-Key:\s*(\S+)\s*$")
MAGIC = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, 1.3
TEXT, CLOSE = 0x1, 0x8


class Log:
    """Lines that go to a file every now and then."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._lines: list[bytes] = []

    def note(self, message: bytes) -> None:
        """Remember that *message* came now."""
        self._lines.append(b"%.6f %b\n" % (time.time(), message))

    def flush(self) -> None:
        """Write what was noted."""
        lines, self._lines = self._lines, []
        self._file.write(b"".join(lines))
        self._file.flush()


class Peer(asyncio.Protocol):
    """One connection."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._transport: asyncio.Transport
        self._held = b""
        self._is_open = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Shake hands, then answer every message that is complete."""
        held = self._held + data if self._held else data
        if not self._is_open:
            end = held.find(b"\r\n\r\n") + 4
            key = KEY.search(held, 0, end)
            if key is not None:
                digest = hashlib.sha1(key[1] + MAGIC, usedforsecurity=False).digest()
                self._transport.write(UPGRADED % base64.b64encode(digest))
                self._is_open, held = True, held[end:]
        self._held = self._echo(held) if self._is_open else held

    def _echo(self, held: bytes) -> bytes:
        while len(held) >= 2:
            length, start = held[1] & 0x7F, 2
            if length == 126:
                length, start = int.from_bytes(held[2:4], "big"), 4
            end = start + 4 + length
            if len(held) < end:
                break
            message = XorMaskerSimple(held[start : start + 4]).process(held[start + 4 : end])
            kind = held[0] & 0x0F
            if kind == TEXT:
                self._log.note(message)
            self._transport.write(bytes((held[0], held[1] & 0x7F)) + held[2:start] + message)
            if kind == CLOSE:
                self._transport.close()
            held = held[end:]
        return held


async def serve(path: str) -> None:
    """Listen on a free port of this machine until SIGTERM."""
    loop, ended = asyncio.get_running_loop(), asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, ended.set)
    with open(path, "wb") as file:
        log = Log(file)
        server = await loop.create_server(lambda: Peer(log), "127.0.0.1", 0)
        print(server.sockets[0].getsockname()[1], flush=True)
        while not ended.is_set():
            try:
                await asyncio.wait_for(ended.wait(), FLUSH_EVERY_S)
            except TimeoutError:
                log.flush()
        log.flush()


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    asyncio.run(serve(sys.argv[1]))
