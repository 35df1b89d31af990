"""An HTTP server that answers at once, but stalls once as a whole: ``python stalling_server.py AT_S FOR_S``.

Counted from the first request. Prints its port. While it stalls it neither reads nor answers, as a server
does in a long garbage collection.
"""

from __future__ import annotations

import asyncio
import socket
import sys
import time

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nok"


class Stalling(asyncio.Protocol):
    """One connection; requests have no body."""

    began: float | None = None
    is_over = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send small answers at once."""
        self.transport = transport
        sock: socket.socket = transport.get_extra_info("socket")
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def data_received(self, data: bytes) -> None:
        """Answer each request."""
        cls = type(self)
        if cls.began is None:
            cls.began = time.monotonic()
        if not cls.is_over and time.monotonic() - cls.began >= AT_S:
            cls.is_over = True
            time.sleep(FOR_S)
        self.transport.write(ANSWER * data.count(b"\r\n\r\n"))  # type: ignore[attr-defined]


async def main() -> None:
    """Serve until killed."""
    server = await asyncio.get_running_loop().create_server(Stalling, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    AT_S, FOR_S = float(sys.argv[1]), float(sys.argv[2])
    asyncio.run(main())
