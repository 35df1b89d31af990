"""The canary's MQTT brokers: amqtt, which notes what it is told, and one that says no and why."""

from __future__ import annotations

import asyncio
import socket
import struct
from dataclasses import dataclass
from typing import Any

from amqtt.adapters import StreamReaderAdapter, StreamWriterAdapter
from amqtt.broker import Broker as AmqttBroker
from amqtt.contexts import BrokerConfig, ListenerConfig, ListenerType
from amqtt.mqtt.publish import PublishPacket
from amqtt.plugins.base import BasePlugin

from streamlab_plugin.canary.tally import Tally, decoded

# Topics say which planting they are: canary/17/data, and where its values are if not in the payload.
TOPIC, IN_TOPIC, RAW = "canary", "topic", "raw"
# Client ids of plantings: plant-17-who/...; with "login" user name and password have the values.
CLIENT = "plant-"
_NOT_AUTHORISED = 0x87
_REASON_STRING = 0x1F


class Broker:
    """Serve MQTT 3.1.1 with amqtt."""

    def __init__(self, tally: Tally) -> None:
        self._tally = tally

    async def start(self, listener: socket.socket) -> asyncio.Server:
        """Begin to accept connections on *listener*."""
        plugins = {
            "amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True},
            f"{__name__}.NotingPlugin": {"tally": self._tally},
        }
        listeners = {"default": ListenerConfig(type=ListenerType.EXTERNAL)}
        self._broker = AmqttBroker(BrokerConfig(listeners=listeners, plugins=plugins))
        await self._broker.start()
        return await asyncio.start_server(self._serve, sock=listener)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self._broker.external_connected(
                StreamReaderAdapter(reader), StreamWriterAdapter(writer), "default"
            )
        except (OSError, EOFError, asyncio.CancelledError):
            pass  # the client has gone, or the target ends
        finally:
            writer.close()


class NotingPlugin(BasePlugin):  # type: ignore[misc]
    """Note connections and publishes."""

    @dataclass
    class Config:
        """What amqtt passes to the plugin."""

        tally: Any

    async def on_broker_client_connected(
        self, *, client_id: str, client_session: Any, **_ignored: object
    ) -> None:
        """Note a client that is a planting by its id or login."""
        if client_id.startswith(CLIENT):
            number, _mark, who = client_id.removeprefix(CLIENT).partition("-")
            made = f"{client_session.username} {client_session.password}" if who == "login" else client_id
            self.config.tally.note("mqtt", number, made)

    async def on_mqtt_packet_received(self, *, packet: Any, session: Any = None) -> None:
        """Note a publish."""
        if isinstance(packet, PublishPacket) and session is not None:
            topic = str(packet.topic_name or "")
            levels: list[str] = [*topic.split("/"), "", "", ""]
            first, number, where = levels[:3]
            if first == TOPIC and number:
                data = bytes(packet.data or b"")
                made = {IN_TOPIC: topic, RAW: data}.get(where, decoded(data))
                self.config.tally.note("mqtt", number, made)


class RefusingBroker:
    """Answer every MQTT 5 CONNECT with "not authorised" and the user name as the reason."""

    def __init__(self, tally: Tally) -> None:
        self._tally = tally

    async def start(self, listener: socket.socket) -> asyncio.Server:
        """Begin to accept connections on *listener*."""
        return await asyncio.start_server(self._serve, sock=listener)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readexactly(1)
            packet = await reader.readexactly(await _length(reader))
            client_id, reason = _introduction(packet)
            self._tally.note("mqtt", client_id.removeprefix(CLIENT), reason)
            writer.write(_refusal(reason))
            await writer.drain()
        except (OSError, EOFError):
            pass  # the client has gone
        finally:
            writer.close()


async def _length(reader: asyncio.StreamReader) -> int:
    total = shift = 0
    while True:
        (byte,) = await reader.readexactly(1)
        total += (byte & 0x7F) << shift
        if not byte & 0x80:
            return total
        shift += 7


def _introduction(packet: bytes) -> tuple[str, str]:
    """Return client id and user name of an MQTT 5 CONNECT without a will, its properties under 128 bytes."""
    at = 2 + int.from_bytes(packet[:2], "big") + 4  # protocol name, its level, flags, keep-alive
    at += 1 + packet[at]
    texts = []
    for _ in range(2):
        length = int.from_bytes(packet[at : at + 2], "big")
        texts.append(packet[at + 2 : at + 2 + length].decode())
        at += 2 + length
    return texts[0], texts[1]


def _refusal(reason: str) -> bytes:
    text = reason.encode()
    properties = bytes([_REASON_STRING]) + struct.pack(">H", len(text)) + text
    body = bytes([0, _NOT_AUTHORISED]) + _varint(len(properties)) + properties
    return b"\x20" + _varint(len(body)) + body


def _varint(number: int) -> bytes:
    found = bytearray()
    while True:
        number, low = divmod(number, 128)
        found.append(low | (0x80 if number else 0))
        if not number:
            return bytes(found)
