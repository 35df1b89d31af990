"""A WebSocket and an HTTP server that log each message as it came, whatever it is.

Run as ``python fault_peer.py LOG``; prints both ports. The path is what the load calls itself: it stands in
the log beside each message. Messages with a correlation id are answered with themselves. Under
``/slow_consumer`` a WebSocket client is flooded after its first message, and how long that took is noted.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import sys
import time
from typing import Any

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

FLOOD = [json.dumps({"type": "flood", "fill": "x" * 100_000})] * 300


class Peer:
    """Serve, and note what came."""

    def __init__(self, log: Any) -> None:
        self.log = log

    def note(self, path: str, **entry: object) -> None:
        """Write one line to the log."""
        self.log.write(json.dumps({"path": path.strip("/"), **entry}) + "\n")
        self.log.flush()

    async def websocket(self, socket: ServerConnection) -> None:
        """Log and answer messages until the connection ends."""
        assert socket.request is not None
        path = socket.request.path
        with contextlib.suppress(ConnectionClosed):
            async for message in socket:
                self.note(path, raw=message if isinstance(message, str) else message.decode("latin-1"))
                with contextlib.suppress(ValueError, AttributeError):
                    if json.loads(message).get("correlation_id"):
                        await socket.send(message)
                if path == "/slow_consumer":
                    began = time.monotonic()
                    try:
                        for text in FLOOD:
                            await socket.send(text)
                    finally:
                        self.note(path, stalled_s=time.monotonic() - began)
        self.note(path, closed=socket.close_code)

    async def http(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Log and answer requests until the connection ends."""
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                path = head.split()[1]
                sizes = [line for line in head.lower().splitlines() if line.startswith("content-length:")]
                body = await reader.readexactly(int(sizes[0].split(":")[1])) if sizes else b""
                self.note(path, raw=body.decode("latin-1"))
                writer.write(
                    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 12\r\n\r\n"
                    b'{"ok": true}'
                )
                await writer.drain()
        writer.close()


async def main(path: str) -> None:
    """Serve on free ports until SIGTERM."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    with open(path, "w", encoding="utf-8") as log:
        peer = Peer(log)
        http = await asyncio.start_server(peer.http, "127.0.0.1", 0)
        async with serve(peer.websocket, "127.0.0.1", 0, compression=None, close_timeout=1) as socket:
            print(socket.sockets[0].getsockname()[1], http.sockets[0].getsockname()[1], flush=True)
            await stop.wait()
        http.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
