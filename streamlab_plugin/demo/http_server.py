"""HTTP/1.1 with keep-alive over asyncio streams; h11 knows the protocol, this module moves the bytes."""

from __future__ import annotations

import asyncio
import socket

import h11
import msgspec

from streamlab_plugin.demo.http_api import Answer, HttpApi, Request

_READ_BYTES = 65536
_BODY_LIMIT_BYTES = 1024 * 1024


class HttpServer:
    """Serve *api* on a listening socket."""

    def __init__(self, api: HttpApi) -> None:
        self._api = api

    async def start(self, listener: socket.socket) -> asyncio.Server:
        """Begin to accept connections on *listener*."""
        return await asyncio.start_server(self._serve, sock=listener)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = h11.Connection(h11.SERVER)
        try:
            while (request := await _read(connection, reader, writer)) is not None:
                answer = self._api.answer(request)
                if answer.delay_s:
                    await asyncio.sleep(answer.delay_s)
                await _write(connection, writer, answer, request.headers.get("x-correlation-id"))
                if connection.our_state is not h11.DONE:
                    break
                connection.start_next_cycle()
        except h11.RemoteProtocolError as error:
            await _refuse(connection, writer, error)
        except (ConnectionError, h11.LocalProtocolError):
            pass  # the client has gone: nobody is left to tell
        except asyncio.CancelledError:
            pass  # the target ends; Python 3.11 logs a connection that was cancelled as an error
        finally:
            writer.close()


async def _read(
    connection: h11.Connection, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> Request | None:
    """Return the next complete request, or None when the client has closed the connection."""
    head: h11.Request | None = None
    body = bytearray()
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            if connection.they_are_waiting_for_100_continue:
                writer.write(connection.send(h11.InformationalResponse(status_code=100, headers=[])) or b"")
            connection.receive_data(await reader.read(_READ_BYTES))
        elif isinstance(event, h11.Request):
            head = event
        elif isinstance(event, h11.Data):
            body += event.data
            if len(body) > _BODY_LIMIT_BYTES:
                raise h11.RemoteProtocolError("the body is too large", error_status_hint=413)
        elif isinstance(event, h11.EndOfMessage) and head is not None:
            headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in head.headers}
            return Request(head.method.decode(), head.target.decode("latin-1"), headers, bytes(body))
        else:
            return None


async def _write(
    connection: h11.Connection, writer: asyncio.StreamWriter, answer: Answer, corr: str | None
) -> None:
    body = msgspec.json.encode(answer.body)
    headers = {"Content-Type": "application/json", "Content-Length": str(len(body)), **answer.headers}
    if corr is not None:
        headers["X-Correlation-ID"] = corr
    response = h11.Response(status_code=answer.status, headers=list(headers.items()))
    parts = (connection.send(response), connection.send(h11.Data(data=body)))
    last = connection.send(h11.EndOfMessage())
    writer.write(b"".join(part for part in (*parts, last) if part))
    await writer.drain()


async def _refuse(
    connection: h11.Connection, writer: asyncio.StreamWriter, error: h11.RemoteProtocolError
) -> None:
    """Tell a client that does not speak HTTP so, if it can still be told."""
    if connection.our_state not in (h11.IDLE, h11.SEND_RESPONSE):
        return
    answer = Answer(
        error.error_status_hint, {"status": "error", "error": str(error)}, {"Connection": "close"}
    )
    try:
        await _write(connection, writer, answer, None)
    except (ConnectionError, h11.LocalProtocolError):
        pass
