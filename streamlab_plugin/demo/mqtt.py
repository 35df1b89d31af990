"""The target's MQTT broker: amqtt, with a log of what really passed and one kind of topic that can be slow.

amqtt's packet-sent event also fires when the connection was gone, so deliveries are noted where the bytes
are written. For the same reason our own server accepts the connections and hands them to the broker.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections import deque
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import msgspec
from amqtt.adapters import StreamReaderAdapter, StreamWriterAdapter
from amqtt.broker import Broker
from amqtt.contexts import BrokerConfig, ListenerConfig, ListenerType
from amqtt.mqtt.publish import PublishPacket
from amqtt.plugins.base import BasePlugin

from streamlab_plugin.demo.oracle import What, number_or_none, text_or_none
from streamlab_plugin.demo.scene import Scene

_PUBLISH = 3

# The connection whose CONNECT is being handled; the broker's events do not say on which one they came.
_current: ContextVar[NotingWriter] = ContextVar("_current")


class MqttServer:
    """Serve *scene*'s broker on a listening socket."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene

    async def start(self, listener: socket.socket) -> asyncio.Server:
        """Begin to accept connections on *listener*."""
        for name in ("amqtt", "transitions"):
            logging.getLogger(name).setLevel(logging.CRITICAL)
        self._broker = SlowBroker(self._scene)
        await self._broker.start()
        return await asyncio.start_server(self._serve, sock=listener)

    async def stop(self) -> None:
        """Disconnect everybody."""
        await self._broker.shutdown()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        noting = NotingWriter(writer, self._scene)
        _current.set(noting)
        try:
            await self._broker.external_connected(StreamReaderAdapter(reader), noting, "default")
        except (OSError, EOFError):
            pass  # the client has gone
        except asyncio.CancelledError:
            pass  # the target ends; Python 3.11 logs a connection that was cancelled as an error
        finally:
            writer.close()


class SlowBroker(Broker):  # type: ignore[misc]
    """A broker that holds messages of ``…/slow`` topics back while the schedule says so.

    Acknowledgements and other topics are not delayed, and the order within a topic is kept.
    """

    def __init__(self, scene: Scene) -> None:
        plugins = {
            "amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True},
            f"{__name__}.NotingPlugin": {"scene": scene},
        }
        listeners = {"default": ListenerConfig(type=ListenerType.EXTERNAL)}
        super().__init__(BrokerConfig(listeners=listeners, plugins=plugins))
        self._timeline = scene.timeline
        self._held: dict[str, deque[tuple[float, tuple[Any, ...]]]] = {}  # by topic: due time, message
        self._releasing: set[asyncio.Task[None]] = set()

    # A topic-filtering plugin that sleeps would be the documented way, but it stops every topic of the
    # publisher, or of the whole broker.
    async def _broadcast_message(self, session: Any, topic: Any, data: Any, force_qos: Any = None) -> None:
        delay_s = self._delay_s(topic)
        if not delay_s and topic not in self._held:
            await super()._broadcast_message(session, topic, data, force_qos)
            return
        due = asyncio.get_running_loop().time() + delay_s
        held = self._held.setdefault(topic, deque())
        held.append((due, (session, topic, data, force_qos)))
        if len(held) == 1:
            releasing = asyncio.create_task(self._release(topic))
            self._releasing.add(releasing)
            releasing.add_done_callback(self._releasing.discard)

    async def _release(self, topic: str) -> None:
        held = self._held[topic]
        while held:
            due, message = held[0]
            await asyncio.sleep(due - asyncio.get_running_loop().time())
            await super()._broadcast_message(*message)
            held.popleft()
        del self._held[topic]

    def _delay_s(self, topic: object) -> float:
        slow = self._timeline.active("slow_topic")
        return slow.delay_ms / 1000 if slow and isinstance(topic, str) and topic.endswith("/slow") else 0.0


class NotingPlugin(BasePlugin):  # type: ignore[misc]
    """Note connections and received publishes."""

    @dataclass
    class Config:
        """What amqtt passes to the plugin."""

        scene: Any

    async def on_broker_client_connected(self, *, client_id: str, **_ignored: object) -> None:
        """Note an accepted connection; it may be the first sign of life of a run."""
        scene: Scene = self.config.scene
        scene.timeline.begin()
        _current.get().client = client_id
        scene.oracle.note("mqtt", "connect", "connect", client=client_id)

    async def on_mqtt_packet_received(self, *, packet: Any, session: Any = None) -> None:
        """Note a publish."""
        if isinstance(packet, PublishPacket) and session is not None:
            note_publish(
                self.config.scene, "publish", packet.topic_name, packet.data or b"", session.client_id
            )


class NotingWriter(StreamWriterAdapter):  # type: ignore[misc]
    """Write whole packets to one client and note each PUBLISH that could still go out."""

    def __init__(self, writer: asyncio.StreamWriter, scene: Scene) -> None:
        super().__init__(writer)
        self.client: str | None = None
        self._scene = scene

    def write(self, data: bytes) -> None:
        """Write *data*, one packet."""
        if data[0] >> 4 == _PUBLISH and not self.is_closed and not self._writer.is_closing():
            topic, payload = parse_publish(data)
            note_publish(self._scene, "deliver", topic, payload, self.client)
        super().write(data)


def note_publish(scene: Scene, what: What, topic: str | None, payload: bytes, client: str | None) -> None:
    """Note a PUBLISH with the stream and number that its JSON payload gives, if any."""
    try:
        body = msgspec.json.decode(payload)
    except msgspec.DecodeError:
        body = None
    fields: dict[str, object] = body if isinstance(body, dict) else {}
    scene.oracle.note(
        "mqtt",
        what,
        topic or "",
        corr=text_or_none(fields.get("correlation_id")),
        seq=number_or_none(fields.get("stream_seq", fields.get("seq"))),
        stream=text_or_none(fields.get("stream")),
        client=client,
    )


def parse_publish(packet: bytes) -> tuple[str, bytes]:
    """Return topic and payload of an MQTT 3.1.1 PUBLISH packet."""
    at = 1
    while packet[at] & 0x80:  # the remaining length: up to four bytes, all but the last with the high bit
        at += 1
    at += 1
    end = at + 2 + int.from_bytes(packet[at : at + 2], "big")
    has_packet_id = packet[0] & 0x06
    return packet[at + 2 : end].decode("utf-8", "replace"), packet[end + (2 if has_packet_id else 0) :]
