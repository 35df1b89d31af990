"""A target whose every answer leaves a given time after its request was read: HTTP, WebSocket and MQTT QoS 1.

``python -m benchmarks.delaying_process DELAY_MS`` prints its port; one port speaks all three. Two epoch
seconds on standard input ask for the delays that were really given between them; the answer is JSON: how
many, their 50th and their 99th percentile (ms). A delay lasts from the read of a request until its answer is
written.
"""

from __future__ import annotations

import asyncio
import gc
import json
import select
import selectors
import sys
import time
from array import array
from collections import deque
from collections.abc import Callable

from benchmarks.figure import percentile
from benchmarks.target_process import Target

_CONNECT, _CONNACK = 1, b"\x20\x02\x00\x00"
_PUBLISH, _PUBACK = 3, b"\x40\x02"
_PINGREQ, _PINGRESP = 12, b"\xd0\x00"
_DISCONNECT = 14


class _PreciseSelector(selectors.EpollSelector):
    """Waits for fractions of a millisecond, which `epoll_wait` rounds up to a whole one."""

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Return what is ready after *timeout* seconds at most."""
        if timeout is None or timeout > 0:
            select.select([self.fileno()], [], [], timeout)
        return super().select(0)


class Delays:
    """Lets answers wait, first in, first out: all wait equally long. Moments are epoch seconds."""

    def __init__(self, delay_s: float) -> None:
        self._delay_s = delay_s
        self._waiting: deque[tuple[float, Callable[[bytes], None], bytes]] = deque()
        self._read = array("d")
        self._given = array("d")

    def add(self, read_at: float, write: Callable[[bytes], None], answer: bytes) -> None:
        """Give *answer* to *write* when its time has come."""
        self._waiting.append((read_at, write, answer))
        if len(self._waiting) == 1:
            self._sleep()

    def _sleep(self) -> None:
        due_in_s = self._waiting[0][0] + self._delay_s - time.time()
        asyncio.get_running_loop().call_later(max(0.0, due_in_s), self._answer)

    def _answer(self) -> None:
        waiting, delay_s = self._waiting, self._delay_s
        while waiting and time.time() >= waiting[0][0] + delay_s:
            read_at, write, answer = waiting.popleft()
            write(answer)
            self._read.append(read_at)
            self._given.append(time.time() - read_at)
        if waiting:
            self._sleep()

    def answer_question(self) -> None:
        """Read two moments and print what was given between them."""
        began, ended = (float(word) for word in sys.stdin.readline().split())
        given = [
            delay * 1000.0
            for read_at, delay in zip(self._read, self._given, strict=True)
            if began <= read_at <= ended
        ]
        p50, p99 = (percentile(given, percent) if given else 0.0 for percent in (50, 99))
        print(json.dumps({"count": len(given), "p50": p50, "p99": p99}), flush=True)


class _Slowed:
    """A transport whose writes wait, and its end behind them."""

    def __init__(self, transport: asyncio.Transport, delays: Delays) -> None:
        self._transport = transport
        self._delays = delays
        self.read_at = 0.0
        self.abort = transport.abort

    def write(self, answer: bytes) -> None:
        """Let *answer* wait."""
        self._delays.add(self.read_at, self._transport.write, answer)

    def close(self) -> None:
        """Close after all that waits."""
        self._delays.add(self.read_at, lambda _nothing: self._transport.close(), b"")


class Delaying(Target):
    """One connection; its first byte tells MQTT (CONNECT is 0x10) from HTTP."""

    def __init__(self, delays: Delays) -> None:
        super().__init__()
        self._delays = delays
        self._is_mqtt: bool | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Put the delay between this and the transport."""
        assert isinstance(transport, asyncio.Transport)
        self._slowed = _Slowed(transport, self._delays)
        self._transport = self._slowed  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        """Answer every request, message or packet that is complete."""
        self._slowed.read_at = time.time()
        if self._is_mqtt is None:
            self._is_mqtt = data[0] >> 4 == _CONNECT
        if self._is_mqtt:
            self._held = self._acknowledge(self._held + data)
        else:
            super().data_received(data)

    def _acknowledge(self, held: bytes) -> bytes:
        while (packet := _first_packet(held)) is not None:
            start, end = packet
            kind = held[0] >> 4
            if kind == _CONNECT:
                self._transport.write(_CONNACK)
            elif kind == _PUBLISH and held[0] & 0x06:
                after_topic = start + 2 + int.from_bytes(held[start : start + 2], "big")
                self._transport.write(_PUBACK + held[after_topic : after_topic + 2])
            elif kind == _PINGREQ:
                self._transport.write(_PINGRESP)
            elif kind == _DISCONNECT:
                self._transport.close()
            held = held[end:]
        return held


def _first_packet(held: bytes) -> tuple[int, int] | None:
    """Return where the body of the first packet begins and ends, or None while it is incomplete."""
    length, shift = 0, 0
    for at, byte in enumerate(held[1:5], 1):
        length |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            end = at + 1 + length
            return (at + 1, end) if len(held) >= end else None
    return None


async def serve(delay_s: float) -> None:
    """Listen on a free port of this machine until killed."""
    loop = asyncio.get_running_loop()
    delays = Delays(delay_s)
    loop.add_reader(sys.stdin, delays.answer_question)
    server = await loop.create_server(lambda: Delaying(delays), "127.0.0.1", 0, backlog=4_096)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    gc.disable()  # nothing here has cycles, and a collection would be a delay
    with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(_PreciseSelector())) as runner:
        runner.run(serve(float(sys.argv[1]) / 1000.0))
