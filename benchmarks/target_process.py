"""A target that costs little: a fixed JSON answer to each HTTP request, an echo to each WebSocket message.

``python -m benchmarks.target_process`` prints its port. It shares two cores with what is measured, so it
speaks only as much of both protocols as the measured clients do: whole requests without a body, unfragmented
text frames below 64 KB.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import re

from wsaccel.xormask import XorMaskerSimple  # type: ignore[import-untyped]

_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"
_BODY = b'{"status":"ok","count":3,"items":[{"id":1},{"id":2},{"id":3}]}'
_HTTP = _ANSWER % (len(_BODY), _BODY)
_UPGRADED = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: %s\r\n\r\n"
)
_KEY = re.compile(rb"(?im)^Sec-WebSocket-Key:\s*(\S+)\s*$")
_MAGIC = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, 1.3
_CLOSE = 0x8
_LIMIT_BYTES = 126 * 1024


class Target(asyncio.Protocol):
    """One connection."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport
        self._held = b""
        self._is_websocket = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer every request or message that is complete."""
        held = self._held + data if self._held else data
        if not self._is_websocket:
            held = self._answer_requests(held)
        if self._is_websocket:
            held = self._echo(held)
        self._held = held
        if len(held) > _LIMIT_BYTES:
            self._transport.abort()

    def _answer_requests(self, held: bytes) -> bytes:
        while not self._is_websocket and (end := held.find(b"\r\n\r\n")) >= 0:
            key = _KEY.search(held, 0, end + 2)
            if key is None:
                self._transport.write(_HTTP)
            else:
                digest = hashlib.sha1(key[1] + _MAGIC, usedforsecurity=False).digest()
                self._transport.write(_UPGRADED % base64.b64encode(digest))
                self._is_websocket = True
            held = held[end + 4 :]
        return held

    def _echo(self, held: bytes) -> bytes:
        while len(held) >= 2:
            length, start = held[1] & 0x7F, 2
            if length == 126:
                length, start = int.from_bytes(held[2:4], "big"), 4
            end = start + 4 + length
            if len(held) < end:
                break
            data = XorMaskerSimple(held[start : start + 4]).process(held[start + 4 : end])
            self._transport.write(bytes((held[0], held[1] & 0x7F)) + held[2:start] + data)
            if held[0] & 0x0F == _CLOSE:
                self._transport.close()
            held = held[end:]
        return held


async def serve() -> None:
    """Listen on a free port of this machine until killed."""
    server = await asyncio.get_running_loop().create_server(Target, "127.0.0.1", 0, backlog=4_096)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve())
