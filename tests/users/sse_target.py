"""A server of event streams that logs each request it saw and each event it sent; one JSON object a line.

Run as ``python sse_target.py LOG``; prints its port. Events are JSON with a running ``number``, which is also
their id; after a reconnect they go on behind ``Last-Event-ID``. The query says how a stream behaves: ``n``
events, ``gap_ms`` between them, ``eol`` (``lf``, ``cr``, ``crlf``), ``split=1`` for each byte on its own,
``retry`` (ms), ``stop_at=N`` is 204 once that id was seen; ``status``, ``type`` and ``encoding`` of the
answer; and ``end``: ``chunked`` and ``length`` end as HTTP wants it, ``close`` by closing, ``cut`` in the
middle of a chunk, ``reset`` with a TCP reset, ``silent`` says nothing until the client leaves, ``endless``
sends a line without end.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import socket
import struct
import sys
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

EOLS = {"lf": b"\n", "cr": b"\r", "crlf": b"\r\n"}


class Target:
    """Serve, and remember what was seen and sent."""

    def __init__(self, log: Path) -> None:
        self.log = log
        self.streams = itertools.count(1)

    def note(self, **entry: object) -> None:
        """Write one line to the log."""
        with self.log.open("a", encoding="utf-8") as lines:
            lines.write(json.dumps(entry) + "\n")

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one connection."""
        try:
            while await self.answer(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Answer one request; tell whether the connection goes on."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        method, target, _version = head[0].split(" ")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:-2])}
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        asked = dict(parse_qsl(urlsplit(target).query))
        last = headers.get("last-event-id")
        known = {"method": method, "last": last, "body": body.decode(), "id": headers.get("x-correlation-id")}
        self.note(request={**known, "accept": headers.get("accept"), "trace": headers.get("traceparent")})
        status = int(asked.get("status", 200))
        if asked.get("stop_at") and last == asked["stop_at"]:
            status = 204
        end = asked.get("end", "chunked")
        is_chunked = end in ("chunked", "cut")
        answer = [
            f"HTTP/1.1 {status} Said",
            f"Content-Type: {asked.get('type', 'text/event-stream;charset=utf-8')}",
        ]
        if "encoding" in asked:
            answer.append(f"Content-Encoding: {asked['encoding']}")
        events = [
            self.event(asked, int(last or 0) + number) for number in range(1, int(asked.get("n", 1)) + 1)
        ]
        if status != 200:
            writer.write(
                "\r\n".join([answer[0], *([] if status == 204 else ["Content-Length: 0"]), "", ""]).encode()
            )
            return True
        if end == "length":
            answer.append(f"Content-Length: {sum(map(len, events))}")
        elif is_chunked:
            answer.append("Transfer-Encoding: chunked")
        writer.write("\r\n".join([*answer, "", ""]).encode())
        stream = next(self.streams)
        for number, event in enumerate(events, int(last or 0) + 1):
            await asyncio.sleep(int(asked.get("gap_ms", 0)) / 1000)
            pieces = [event[at : at + 1] for at in range(len(event))] if asked.get("split") else [event]
            for piece in pieces:
                writer.write(b"%x\r\n%b\r\n" % (len(piece), piece) if is_chunked else piece)
                await writer.drain()
                if asked.get("split"):
                    await asyncio.sleep(0)
            self.note(sent=number, stream=stream)
        return await self.end(end, reader, writer)

    def event(self, asked: dict[str, str], number: int) -> bytes:
        """Return one event as bytes."""
        lines = [
            b": a comment",
            b"id: %d" % number,
            b"event: tick",
            b'data: {"number":',
            b"data: %d}" % number,
            b"",
        ]
        if "retry" in asked:
            lines.insert(0, b"retry: " + asked["retry"].encode())
        return EOLS[asked.get("eol", "lf")].join([*lines, b""])

    async def end(self, end: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """End a stream; tell whether the connection goes on."""
        if end == "chunked":
            writer.write(b"0\r\n\r\n")
        elif end == "cut":
            writer.write(b"100\r\ndata: 1")
        elif end == "silent":
            await reader.read()
            self.note(left=True)
        elif end == "reset":
            await asyncio.sleep(0.05)  # a reset would overtake what was sent
            sock = writer.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        while end == "endless":
            writer.write(b"x" * 65_536)
            await writer.drain()
        return end in ("chunked", "length")


async def main(path: str) -> None:
    """Serve on a free port until killed."""
    log = Path(path)
    log.touch()
    server = await asyncio.start_server(Target(log).serve, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
