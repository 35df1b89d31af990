"""A WebSocket server that logs each sequence number it saw and each push it sent; one JSON object a line.

Run as ``python ws_target.py LOG [CERTIFICATE]``; prints its port. With a certificate (PEM, with its key) it
is a ``wss://`` server. The query of the URL says how it behaves: ``push=N`` sends N pushes per message seen,
``delay_ms``, ``drop_every=N`` aborts the TCP connection at each Nth message, ``close_at=N&code=C`` closes
with a code at the Nth message, ``refuse=STATUS``, ``greet=1`` pushes at once, ``mute=1`` answers nothing,
``late=1`` answers only when the next message comes, ``twice=1`` answers two times, ``bare=1`` answers with
the id alone, ``bad=1`` pushes broken text.
"""

from __future__ import annotations

import asyncio
import json
import logging
import signal
import ssl
import sys
from collections.abc import Sequence
from http import HTTPStatus
from typing import TextIO
from urllib.parse import parse_qsl, urlsplit

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol


class Target:
    """Serve, and remember what was seen and sent."""

    def __init__(self, log: TextIO) -> None:
        self.log = log
        self.pushes = 0

    def note(self, **entry: object) -> None:
        """Write one line to the log."""
        self.log.write(json.dumps(entry) + "\n")
        self.log.flush()

    def refuse(self, connection: ServerConnection, request: Request) -> Response | None:
        """Answer the handshake with a status if the query says so."""
        status = dict(parse_qsl(urlsplit(request.path).query)).get("refuse")
        return connection.respond(HTTPStatus(int(status)), "no") if status else None

    async def push(self, socket: ServerConnection) -> None:
        """Send one push and note it once it is on its way."""
        self.pushes += 1
        number = self.pushes
        if await self.send(socket, json.dumps({"type": "event", "number": number})):
            self.note(push=number)

    async def send(self, socket: ServerConnection, text: str) -> bool:
        """Send unless the connection is closing; what came in before that still has to be noted."""
        try:
            await socket.send(text)
        except ConnectionClosed:
            return False
        return True

    async def serve(self, socket: ServerConnection) -> None:
        """Answer messages until the connection ends."""
        asked = {key: int(value) for key, value in parse_qsl(urlsplit(socket.request.path).query)}
        self.note(opened=True, cookie=socket.request.headers.get("Cookie"), subprotocol=socket.subprotocol)
        seen = 0
        waiting: list[str] = []
        try:
            if asked.get("greet"):
                await self.push(socket)
            if asked.get("bad"):
                await socket.send(b'{"a": "\xff"}', text=True)
                await socket.send('{"a": ')
            async for message in socket:
                seen += 1
                body = json.loads(message)
                self.note(seen=body["seq"])
                if asked.get("drop_every") and seen % asked["drop_every"] == 0:
                    socket.transport.abort()
                    return
                if asked.get("close_at") == seen:
                    await socket.close(asked["code"], "told to")
                    return
                for _ in range(asked.get("push", 0)):
                    await self.push(socket)
                if asked.get("delay_ms"):
                    await asyncio.sleep(asked["delay_ms"] / 1000)
                correlation_id = body.get("correlation_id") or body.get("meta", {}).get("id")
                if asked.get("mute") or not correlation_id:
                    continue
                reply = {"re": {"id": correlation_id}} if asked.get("bare") else body
                waiting.append(json.dumps({"type": "reply", **reply}))
                if not asked.get("late") or len(waiting) > 1:
                    for text in [waiting.pop(0)] * (2 if asked.get("twice") else 1):
                        await self.send(socket, text)
        except ConnectionClosed:
            pass
        finally:
            self.note(closed=socket.protocol.close_code or 1006)


def choose(_connection: ServerConnection, offered: Sequence[Subprotocol]) -> Subprotocol | None:
    """Take the last subprotocol that the client offers, if any."""
    return offered[-1] if offered else None


async def main(path: str, certificate: str | None) -> None:
    """Serve on a free port until SIGTERM."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    with open(path, "w", encoding="utf-8") as log:
        target = Target(log)
        tls = None
        if certificate is not None:
            tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            tls.load_cert_chain(certificate)
        async with serve(
            target.serve, "127.0.0.1", 0, process_request=target.refuse, close_timeout=1, compression=None,
            ssl=tls, select_subprotocol=choose, max_size=None,
        ) as server:  # fmt: skip
            print(server.sockets[0].getsockname()[1], flush=True)
            await stop.wait()


if __name__ == "__main__":
    logging.getLogger("websockets").setLevel(logging.CRITICAL)  # it tells of each client that left early
    asyncio.run(main(sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else None))
