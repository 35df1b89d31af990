"""A TCP proxy that makes the way to a server slow, broken or silent, while the server itself stays well.

It sits between a process under test and its database, so that a fault of the network can be told from a fault
of the server.
"""

from __future__ import annotations

import asyncio
import secrets
import socket
import threading
from collections.abc import Coroutine
from typing import Any

HOST = "127.0.0.1"
DEADLINE_S = 10.0
CHUNK_BYTES = 64 * 1024
MOST_CHUNKS = 256  # in each direction of a connection: 16 MiB, then the sender waits


def steady_port() -> int:
    """Return a free port that stays free while nobody listens.

    It lies below the range from which outgoing connections get their local port: a client that tries again
    and again to reach a port of that range while its server is down may be given this port and meet itself.

    Raises:
        OSError: None of 100 tries found a free port.
    """
    for _ in range(100):
        port = 20_000 + secrets.randbelow(10_000)
        with socket.socket() as probe:
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
            return port
    raise OSError("no free port found between 20000 and 29999 in 100 tries")


class Proxy:
    """Pass the bytes of every connection to *target_port* on the same host, until told otherwise.

    Each chunk leaves `delay_s` after it came, in order; chunks wait side by side, so a delay costs time but
    no throughput, and a round trip costs twice the delay. The handshake of TCP is with the proxy and not
    delayed. The loop has a thread of its own.

    Args:
        target_port: Where the server listens on 127.0.0.1; it need not be up yet.
        delay_s: Delay of one direction; may be set at any time, and holds for the chunks that come after.
    """

    def __init__(self, target_port: int, delay_s: float = 0.0) -> None:
        self.port = steady_port()
        self.delay_s = delay_s
        self._target_port = target_port
        self._listener: asyncio.Server | None = None
        self._links: set[asyncio.Task[Any]] = set()
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=f"proxy-{self.port}", daemon=True)
        self._thread.start()
        self.restore()

    def __enter__(self) -> Proxy:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def cut(self) -> None:
        """Close every connection, drop what they held, and refuse new ones."""
        self._call(self._cut())

    def restore(self) -> None:
        """Listen again on the same port after `cut`."""
        self._call(self._listen())

    def hold(self) -> None:
        """Go on accepting connections and forward nothing, not even the end of a connection."""
        self._loop.call_soon_threadsafe(self._flowing.clear)
        self._call(asyncio.sleep(0))

    def release(self) -> None:
        """Forward again, what was held first."""
        self._loop.call_soon_threadsafe(self._flowing.set)

    def close(self) -> None:
        """Cut everything and end the thread; a second call does nothing."""
        if self._loop.is_closed():
            return
        self.cut()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(DEADLINE_S)
        self._loop.close()

    def _call(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(DEADLINE_S)

    async def _listen(self) -> None:
        if self._listener is None:
            self._listener = await asyncio.start_server(self._link, HOST, self.port, reuse_address=True)

    async def _cut(self) -> None:
        if self._listener is not None:
            self._listener.close()
            self._listener = None
        links = list(self._links)
        for link in links:
            link.cancel()
        await asyncio.gather(*links, return_exceptions=True)

    async def _link(self, from_client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        link = asyncio.current_task()
        assert link is not None
        self._links.add(link)
        writers = [to_client]
        try:
            if self._listener is None:  # accepted a moment before the cut
                return
            from_server, to_server = await asyncio.open_connection(HOST, self._target_port)
            writers.append(to_server)
            for writer in writers:
                writer.transport.set_write_buffer_limits(0)  # drained means sent: closing then loses nothing
            async with asyncio.TaskGroup() as tasks:
                for reader, writer in ((from_client, to_server), (from_server, to_client)):
                    line: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(MOST_CHUNKS)
                    tasks.create_task(self._take_in(reader, line))
                    tasks.create_task(self._let_out(line, writer))
        except* OSError:
            pass  # one side is gone; the other one learns it by the closing below
        finally:
            self._links.discard(link)
            for writer in writers:
                writer.transport.abort()

    async def _take_in(self, reader: asyncio.StreamReader, line: asyncio.Queue[tuple[float, bytes]]) -> None:
        chunk = b"more"
        while chunk:
            chunk = await reader.read(CHUNK_BYTES)
            await line.put((self._loop.time() + self.delay_s, chunk))

    async def _let_out(self, line: asyncio.Queue[tuple[float, bytes]], writer: asyncio.StreamWriter) -> None:
        while True:
            due, chunk = await line.get()
            while (left_s := due - self._loop.time()) > 0:
                await asyncio.sleep(left_s)
            await self._flowing.wait()
            if not chunk:
                writer.write_eof()
                return
            writer.write(chunk)
            await writer.drain()
