"""The canary's WebSocket server: answers, pushes, refuses and closes with what it was told."""

from __future__ import annotations

import base64
import socket
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

import msgspec
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from streamlab_plugin.canary.tally import Tally

# A planting of the path says its number so: /plant-17/...
PLANT = "/plant-"
REFUSED = "/refused"


class WebSocketTarget:
    """Serve WebSocket connections; a message's correlation id says ``number:what is wanted:…``."""

    def __init__(self, tally: Tally) -> None:
        self._tally = tally

    async def start(self, listener: socket.socket) -> Server:
        """Begin to accept connections on *listener*."""
        return await serve(
            self._serve, sock=listener, process_request=self._shake_hands, compression=None,
            ping_interval=None, close_timeout=0.3,
        )  # fmt: skip

    def _shake_hands(self, connection: ServerConnection, request: Request) -> Response | None:
        path = request.path
        if path.startswith(PLANT):
            self._tally.note("websocket", path.removeprefix(PLANT).partition("/")[0].partition("?")[0], path)
        if urlsplit(path).path != REFUSED:
            return None
        text = base64.b64decode(request.headers["X-Person"]).decode()
        self._tally.note("websocket", request.headers["X-Planting"], text)
        return connection.respond(HTTPStatus.FORBIDDEN, text)

    async def _serve(self, connection: ServerConnection) -> None:
        try:
            async for message in connection:
                await self._treat(connection, message)
        except ConnectionClosed:
            pass

    async def _treat(self, connection: ServerConnection, message: str | bytes) -> None:
        if isinstance(message, bytes):
            prefix, _mark, body = message.partition(b"\n")
            self._tally.note("websocket", prefix.decode(), body)
            await connection.send(body)
            await connection.send(body.decode("latin-1"))
            return
        asked: dict[str, Any] = msgspec.json.decode(message)
        number, wanted, *_rest = str(asked["correlation_id"]).split(":")
        made = asked.get("text", asked) if wanted in ("close", "broken") else asked
        self._tally.note("websocket", number, made)
        match wanted:
            case "close":
                await connection.close(4000, str(made))
            case "broken":
                await connection.send(f"broken {made}")
            case "push":
                await connection.send(msgspec.json.encode({**asked, "correlation_id": None}), text=True)
            case "answer":
                await connection.send(message)
