"""A listener on the wire between MQTT clients and their broker, which may lose, double and exchange messages.

It writes down what it passed on, so that what Streamlab says of losses can be compared with the truth. Only
MQTT 3.1.1 and JSON payloads with the default envelope are understood.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import threading
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

_CONNECT, _PUBLISH, _PUBACK = 1, 3, 4


@dataclass
class Wire:
    """What went over the wire: numbers by stream, in order; deliveries also by the client that got them."""

    sent: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    acknowledged: dict[str, set[int]] = field(default_factory=lambda: defaultdict(set))
    got: dict[tuple[str, str], list[int]] = field(default_factory=lambda: defaultdict(list))

    def lost(self) -> int:
        """Count acknowledged numbers that a client did not get, between its first and its last one."""
        return sum(
            len({n for n in self.acknowledged[stream] if min(came) <= n <= max(came)} - set(came))
            for (stream, _client), came in self.got.items()
        )

    def duplicates(self) -> int:
        """Count numbers that a client got again."""
        return sum(len(came) - len(set(came)) for came in self.got.values())

    def reordered(self) -> int:
        """Count numbers that a client got for the first time after a higher one."""
        return sum(
            number not in came[:at] and number < max(came[:at], default=0)
            for came in self.got.values()
            for at, number in enumerate(came)
        )

    def unaccounted(self) -> int:
        """Count acknowledged numbers above the highest that any client got."""
        highest: dict[str, int] = {}
        for (stream, _client), came in self.got.items():
            highest[stream] = max(highest.get(stream, 0), *came)
        return sum(n > highest.get(stream, n) for stream, all_of in self.acknowledged.items() for n in all_of)


class Tap:
    """Listen on `port` and pass everything on to *broker_port*.

    Args:
        broker_port: Where the broker listens on 127.0.0.1; it need not be up yet.
        share: Of the deliveries, each: how many are lost, doubled, and exchanged with the next one.
        seed: Of the chance.
    """

    def __init__(self, broker_port: int, share: float = 0.0, seed: int = 0) -> None:
        self.wire = Wire()
        self.port = 0
        self._broker_port = broker_port
        self._share = share
        self._chance = random.Random(seed)
        self._loop = asyncio.new_event_loop()
        started = threading.Event()
        self._thread = threading.Thread(target=self._serve, args=(started,), daemon=True)
        self._thread.start()
        assert started.wait(10)

    def close(self) -> None:
        """Stop listening."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    def _serve(self, started: threading.Event) -> None:
        async def listen() -> None:
            server = await asyncio.start_server(self._pass, "127.0.0.1", 0, backlog=1000)
            self.port = server.sockets[0].getsockname()[1]
            started.set()

        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(listen())
        self._loop.run_forever()
        links = asyncio.all_tasks(self._loop)
        for link in links:
            link.cancel()
        self._loop.run_until_complete(asyncio.gather(*links, return_exceptions=True))
        self._loop.close()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            broker = await asyncio.open_connection("127.0.0.1", self._broker_port)
        except OSError:
            writer.close()
            return
        link = _Link(self.wire, self._chance, self._share)
        # A server that is stopped would call it an error that a connection was cut.
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.gather(
                _pump(reader, broker[1], link.from_client), _pump(broker[0], writer, link.from_broker)
            )


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, seen: object) -> None:
    assert callable(seen)
    rest = b""
    try:
        while data := await reader.read(65_536):
            packets, rest = _packets(rest + data)
            writer.write(b"".join(part for packet in packets for part in seen(packet)))
            await writer.drain()
    except OSError:
        pass
    finally:
        writer.close()


class _Link:
    """One connection."""

    def __init__(self, wire: Wire, chance: random.Random, share: float) -> None:
        self._wire = wire
        self._chance = chance
        self._share = share
        self._client = ""
        self._in_flight: dict[bytes, tuple[str, int]] = {}
        self._held: dict[str, bytes] = {}  # one of each stream, to be passed on behind the next

    def from_client(self, packet: bytes) -> Iterator[bytes]:
        """Note who it is and what it publishes."""
        kind, body = packet[0] >> 4, _body(packet)
        if kind == _CONNECT:
            self._client = body[12 : 12 + int.from_bytes(body[10:12])].decode()
        elif kind == _PUBLISH:
            place, ident = _place(packet[0], body)
            self._wire.sent[place[0]].append(place[1])
            if ident:
                self._in_flight[ident] = place
            else:
                self._wire.acknowledged[place[0]].add(place[1])
        yield packet

    def from_broker(self, packet: bytes) -> Iterator[bytes]:
        """Note what is acknowledged and what comes; spoil some of the latter."""
        kind, body = packet[0] >> 4, _body(packet)
        if kind == _PUBACK and (place := self._in_flight.pop(body[:2], None)):
            self._wire.acknowledged[place[0]].add(place[1])
        if kind != _PUBLISH:
            yield packet
            return
        stream = _place(packet[0], body)[0][0]
        drawn = self._chance.random() / self._share if self._share else 3.0
        if drawn < 1.0:
            return
        held = self._held.pop(stream, None)
        if drawn < 2.0 and held is None:
            self._held[stream] = packet
            return
        for one in (packet, *([packet] if drawn < 3.0 and self._share else []), *([held] if held else [])):
            self._wire.got[stream, self._client].append(_place(one[0], _body(one))[0][1])
            yield one


def _packets(data: bytes) -> tuple[list[bytes], bytes]:
    """Return the whole packets in *data*, and the rest."""
    found, at = [], 0
    while (end := _end(data, at)) is not None and end <= len(data):
        found.append(data[at:end])
        at = end
    return found, data[at:]


def _end(data: bytes, at: int) -> int | None:
    length = 0
    for place in range(4):
        if at + 1 + place >= len(data):
            return None
        byte = data[at + 1 + place]
        length |= (byte & 0x7F) << (7 * place)
        if byte < 0x80:
            return at + 2 + place + length
    raise ValueError("no MQTT packet")


def _body(packet: bytes) -> bytes:
    at = 1
    while packet[at] >= 0x80:
        at += 1
    return packet[at + 1 :]


def _place(first: int, body: bytes) -> tuple[tuple[str, int], bytes]:
    """Return stream and number of a PUBLISH, and its packet id (empty for QoS 0)."""
    at = 2 + int.from_bytes(body[:2])
    ident = body[at : at + 2] if first & 0x06 else b""
    fields = json.loads(body[at + len(ident) :])
    return (fields["stream"], fields["stream_seq"]), ident
