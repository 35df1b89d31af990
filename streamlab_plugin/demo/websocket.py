"""The target's WebSocket endpoint: a device keeps in touch, is answered, pushed to and sometimes cut off."""

from __future__ import annotations

import asyncio
import logging
import random
import socket
import time
from collections import Counter
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qs, urlsplit

import msgspec
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from streamlab_plugin.demo.oracle import number_or_none, text_or_none
from streamlab_plugin.demo.scene import Scene
from streamlab_plugin.demo.schedule import WEBSOCKET

_PUSH_EVERY_S = (1.0, 2.0)
# While connections are cut, every third message is answered with a cut. Cutting only there means that the
# target has seen whatever its client has sent.
_DROP_EVERY = 3


class SyncEndpoint:
    """Serve ``/ws/mobile/sync/?device_id=…``."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._droppable = 0  # messages received while connections are cut
        self._pushes: Counter[str] = Counter()  # goes on over a device's reconnects
        self._rng = random.Random(f"streamlab demo pushes {scene.timeline.schedule.seed}")

    async def start(self, listener: socket.socket) -> Server:
        """Begin to accept connections on *listener*."""
        logging.getLogger("websockets").setLevel(logging.CRITICAL)
        return await serve(
            self._serve,
            sock=listener,
            process_request=_refuse_other_paths,
            compression=None,
            ping_interval=None,
            close_timeout=0.3,
        )

    async def _serve(self, connection: ServerConnection) -> None:
        device = _device(connection.request.path if connection.request else "")
        self._scene.timeline.begin()
        self._scene.oracle.note("websocket", "connect", WEBSOCKET, stream=device)
        pushing = asyncio.create_task(self._push(connection, device))
        try:
            async for message in connection:
                reply = self._reply(message, device)
                if self._is_dropped(connection):
                    connection.transport.abort()
                    self._scene.oracle.note("websocket", "drop", WEBSOCKET, stream=device)
                    break
                await connection.send(reply, text=True)
        except ConnectionClosed:
            pass
        finally:
            pushing.cancel()

    def _is_dropped(self, connection: ServerConnection) -> bool:
        """Decide whether to cut *connection* now, never with pushes in its buffer that were noted as sent."""
        if not self._scene.timeline.active("websocket_drops") or connection.transport.get_write_buffer_size():
            return False
        self._droppable += 1
        return self._droppable % _DROP_EVERY == 0

    def _reply(self, message: str | bytes, device: str) -> bytes:
        received_at = time.time()
        asked = _decode(message)
        corr, seq = text_or_none(asked.get("correlation_id")), number_or_none(asked.get("seq"))
        self._scene.oracle.note("websocket", "message", WEBSOCKET, corr=corr, seq=seq, stream=device)
        reply: dict[str, Any] = {"correlation_id": corr, "seq": seq, "received_at": received_at}
        match asked.get("type"):
            case "heartbeat":
                reply |= {"type": "heartbeat", "status": "ok", "duration_ms": 0.5}
            case "sync":
                reply |= {"type": "sync", "status": "ok", "changes": 2, "user": self._user()}
            case _:
                reply |= {"type": "error", "status": "error", "error": "type must be heartbeat or sync"}
        return msgspec.json.encode(reply)

    async def _push(self, connection: ServerConnection, device: str) -> None:
        while True:
            await asyncio.sleep(self._rng.uniform(*_PUSH_EVERY_S))
            self._pushes[device] += 1
            seq = self._pushes[device]
            corr = f"{device}-push-{seq}"
            push = {
                "type": "push",
                "correlation_id": corr,
                "push_seq": seq,
                "device_id": device,
                "event_type": "contact_changed",
                "sent_at": time.time(),
                "quality_score": 0.82,
                "user": self._user(),
            }
            if connection.transport.is_closing():
                return
            try:
                await connection.send(msgspec.json.encode(push), text=True)
            except ConnectionClosed:
                return
            self._scene.oracle.note("websocket", "push", WEBSOCKET, corr=corr, seq=seq, stream=device)

    def _user(self) -> dict[str, Any]:
        person = self._scene.next_person()
        return {
            "user_id": person.user_id,
            "name": person.name,
            "email": person.email,
            "phone": person.phone,
            "latitude": person.latitude,
            "longitude": person.longitude,
            "token": person.token,
            "voice_sample": person.voice_sample,
        }


def _refuse_other_paths(connection: ServerConnection, request: Request) -> Response | None:
    if urlsplit(request.path).path != WEBSOCKET:
        return connection.respond(HTTPStatus.NOT_FOUND, f"the endpoint is {WEBSOCKET}\n")
    if not _device(request.path):
        return connection.respond(HTTPStatus.BAD_REQUEST, "device_id is missing\n")
    return None


def _device(target: str) -> str:
    """Return the device id in a request target, empty if there is none."""
    return parse_qs(urlsplit(target).query).get("device_id", [""])[0]


def _decode(message: str | bytes) -> dict[str, Any]:
    """Return the object in *message*, an empty one if it is anything else."""
    try:
        value = msgspec.json.decode(message)
    except msgspec.DecodeError:
        return {}
    return value if isinstance(value, dict) else {}
