"""The canary's HTTP server: answers as the request wants it, on one connection after the other request."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

import h11

from streamlab_plugin.canary.tally import Tally, decoded

_READ_BYTES = 65_536
# Header fields by which a request says which planting it is, what holds the values and what is wanted.
NUMBER, PLACE, ANSWER, PERSON = "x-planting", "x-place", "x-answer", "x-person"


class HttpTarget:
    """Serve HTTP/1.1 with keep-alive."""

    def __init__(self, tally: Tally) -> None:
        self._tally = tally

    async def start(self, listener: socket.socket) -> asyncio.Server:
        """Begin to accept connections on *listener*."""
        return await asyncio.start_server(self._serve, sock=listener)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = h11.Connection(h11.SERVER, max_incomplete_event_size=_READ_BYTES)
        try:
            while (request := await _read(connection, reader)) is not None:
                writer.write(self._answer(connection, *request))
                await writer.drain()
                if connection.our_state is not h11.DONE:
                    break
                connection.start_next_cycle()
        except (ConnectionError, h11.ProtocolError):
            pass  # the client has gone, or is none: then it is missing in the tally
        finally:
            writer.close()

    def _answer(self, connection: h11.Connection, head: h11.Request, body: bytes) -> bytes:
        headers = {name.decode(): value.decode("latin-1") for name, value in head.headers}
        places: dict[str, Callable[[], object]] = {
            "document": lambda: decoded(body),
            "body": lambda: body,
            "path": lambda: head.target,
            "header": lambda: headers[PERSON],
        }
        made = places[headers.get(PLACE, "body")]()
        self._tally.note("http", headers.get(NUMBER, "?"), made)
        wanted = headers.get(ANSWER, "ok")
        status, reason, sent = 200, b"OK", b'{"status":"ok"}'
        media_type = "application/json"
        if wanted == "echo":
            sent, media_type = body, headers.get("content-type", media_type)
        elif wanted == "nothing":
            status, reason, sent = 204, b"No Content", b""
        elif wanted == "error":
            status, reason, sent, media_type = 422, b"Unprocessable Entity", body, "text/plain; charset=utf-8"
        elif wanted == "reason":
            status, reason = 409, body.replace(b"\r", b" ").replace(b"\n", b" ")
        fields = [("Content-Type", media_type), ("Content-Length", str(len(sent)))] if status != 204 else []
        response = h11.Response(status_code=status, headers=fields, reason=reason)
        parts = (connection.send(response), connection.send(h11.Data(data=sent)))
        return b"".join(part or b"" for part in (*parts, connection.send(h11.EndOfMessage())))


async def _read(connection: h11.Connection, reader: asyncio.StreamReader) -> tuple[h11.Request, bytes] | None:
    """Return the next complete request, or None when the client has closed the connection."""
    head: h11.Request | None = None
    body = bytearray()
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            connection.receive_data(await reader.read(_READ_BYTES))
        elif isinstance(event, h11.Request):
            head = event
        elif isinstance(event, h11.Data):
            body += event.data
        elif isinstance(event, h11.EndOfMessage) and head is not None:
            return head, bytes(body)
        else:
            return None
