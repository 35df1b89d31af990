"""Does an MQTT broker let us in, and does a message of ours come back?"""

from __future__ import annotations

import socket
import struct
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter
from typing import Any

from paho.mqtt import MQTTException
from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode
from paho.mqtt.reasoncodes import ReasonCode

from streamlab_plugin.core.errors import ConfigError
from streamlab_plugin.probe.answer import BAD_STATUS, NOT_AUTHORISED, PROTOCOL, TIMEOUT, Failure
from streamlab_plugin.probe.attempt import Attempt
from streamlab_plugin.probe.dial import dial

VERSIONS = {"3.1.1": 4, "5": 5}
DEFAULT_TOPIC = "streamlab/probe"
_LONGEST_TOPIC_BYTES = 65_535
# MQTT 5, 2.4: bad user name or password, not authorised, banned, bad authentication method.
_REFUSALS = (134, 135, 138, 140)
_UNSUPPORTED_VERSION = 132
_FIRST_ERROR = 128
# What brokers tell about themselves, and the name of the fact that it becomes.
_SYS_TOPICS = {
    "$SYS/broker/version": "broker_version",
    "$SYS/broker/uptime": "broker_uptime",
    "$SYS/broker/clients/connected": "broker_clients_connected",
}
_SYS_S = 1.0
_LONGEST_FACT = 100
_KEEPALIVE_S = 60
# What paho raises for packets that are none.
_UNREADABLE = (MQTTException, ValueError, LookupError, AssertionError, struct.error)


@dataclass(frozen=True, slots=True)
class MqttQuestion:
    """What to ask a broker.

    Args:
        topic: Where our message goes and is expected.
        qos: Of the message and of the subscription.
        version: 4 is MQTT 3.1.1, 5 is MQTT 5.
        username: None connects without.
        password: Sent only with a user name.
        wants_sys: Ask what the broker tells about itself, too.

    Raises:
        ConfigError: the topic cannot be published to.
    """

    topic: str = DEFAULT_TOPIC
    qos: int = 1
    version: int = 4
    username: str | None = None
    password: str | None = None
    wants_sys: bool = False

    def __post_init__(self) -> None:
        topic = self.topic
        size = len(topic.encode())
        if not 0 < size <= _LONGEST_TOPIC_BYTES or topic.startswith("$") or any(c in topic for c in "+#\0"):
            raise ConfigError(
                f"{topic[:100]!r} is no topic to publish to", remedy="give one without +, # and a leading $"
            )


def probe(attempt: Attempt, question: MqttQuestion) -> None:
    """Connect, subscribe, publish, and wait for the own message.

    Raises:
        Failure: the broker does not do as it should.
        TimeoutError: it took too long.
    """
    conversation = _Conversation(attempt, question, dial(attempt))
    with attempt.phase("connect"):
        conversation.connect()
    with attempt.phase("subscribe"):
        conversation.subscribe([(question.topic, question.qos)])
    conversation.publish()
    if question.wants_sys:
        conversation.read_sys()
    conversation.client.disconnect()


class _Client(paho.Client):
    """A client on a connection that is open already."""

    connection: socket.socket

    def _create_socket(self) -> socket.socket:
        return self.connection


class _Conversation:
    """One connection to a broker; paho's callbacks note what came, and the steps wait for it."""

    def __init__(self, attempt: Attempt, question: MqttQuestion, connection: socket.socket) -> None:
        self._attempt = attempt
        self._question = question
        self._payload = uuid.uuid4().bytes
        self._connack: ReasonCode | None = None
        self._subacks: dict[int | None, list[ReasonCode]] = {}
        self._acknowledged: tuple[float, ReasonCode] | None = None
        self._returned_at: float | None = None
        version = paho.MQTTv5 if question.version == VERSIONS["5"] else paho.MQTTv311
        client = _Client(CallbackAPIVersion.VERSION2, f"streamlab-{uuid.uuid4().hex[:12]}", protocol=version)
        client.connection = connection
        client.on_connect = self._on_connect
        client.on_subscribe = self._on_subscribe
        client.on_publish = self._on_publish
        client.on_message = self._on_message
        if question.username is not None:
            client.username_pw_set(question.username, question.password)
        self.client = client

    def connect(self) -> None:
        address = self._attempt.address
        self.client.connect(address.host, address.port, _KEEPALIVE_S)
        self._wait(lambda: self._connack is not None)
        assert self._connack is not None
        self._judge(self._connack, "the connection")

    def subscribe(self, topics: list[tuple[str, int]]) -> None:
        _code, mid = self.client.subscribe(topics)
        self._wait(lambda: mid in self._subacks)
        for code in self._subacks[mid]:
            self._judge(code, "the subscription")

    def publish(self) -> None:
        """Publish; ``publish`` is the time to the acknowledgement, ``round_trip`` to our own message."""
        attempt, question = self._attempt, self._question
        attempt.phase_name = "publish"
        began = perf_counter()
        self.client.publish(question.topic, self._payload, question.qos)
        if question.qos:
            self._wait(lambda: self._acknowledged is not None)
            assert self._acknowledged is not None
            at, code = self._acknowledged
            self._judge(code, "the message")
            attempt.timings_ms["publish"] = (at - began) * 1e3
        attempt.phase_name = "round_trip"
        try:
            self._wait(lambda: self._returned_at is not None)
        except TimeoutError:
            words = f"the own message did not come back; may this client read and write {question.topic}?"
            raise Failure(TIMEOUT, words) from None
        assert self._returned_at is not None
        attempt.timings_ms["round_trip"] = (self._returned_at - began) * 1e3

    def read_sys(self) -> None:
        """Learn what the broker tells about itself, in a second at most; it need not tell anything."""
        attempt = self._attempt
        attempt.phase_name = "sys"
        ends = perf_counter() + min(_SYS_S, attempt.remaining_s())
        try:
            self.subscribe([(topic, 0) for topic in _SYS_TOPICS])
            self._wait(lambda: set(_SYS_TOPICS.values()) <= set(attempt.facts) or perf_counter() > ends)
        except Failure:
            attempt.facts.pop("reason_code", None)
        if not set(_SYS_TOPICS.values()) & set(attempt.facts):
            attempt.warnings.append("the broker tells nothing under $SYS/broker, or not to this user")

    def _wait(self, is_done: Callable[[], bool]) -> None:
        """Let paho read and write until *is_done*."""
        code = MQTTErrorCode.MQTT_ERR_SUCCESS
        while not is_done():
            left = self._attempt.remaining_s()
            if code != MQTTErrorCode.MQTT_ERR_SUCCESS:
                phase = self._attempt.phase_name
                raise Failure(PROTOCOL, f"the connection was closed or is no MQTT, in phase {phase}")
            try:
                code = self.client.loop(min(left, 0.1))
            except _UNREADABLE:
                code = MQTTErrorCode.MQTT_ERR_PROTOCOL

    def _judge(self, code: ReasonCode, what: str) -> None:
        if code.value < _FIRST_ERROR:
            return
        self._attempt.facts["reason_code"] = code.value
        outcome = NOT_AUTHORISED if code.value in _REFUSALS else BAD_STATUS
        if code.value == _UNSUPPORTED_VERSION:
            outcome = PROTOCOL
        words = code.getName().lower().replace("authorized", "authorised")
        raise Failure(outcome, f"the broker refused {what}: {words} (reason code {code.value})")

    # What paho calls

    def _on_connect(self, _client: Any, _data: Any, _flags: Any, code: ReasonCode, _properties: Any) -> None:
        self._connack = code

    def _on_subscribe(
        self, _client: Any, _data: Any, mid: int, codes: list[ReasonCode], _properties: Any
    ) -> None:
        self._subacks[mid] = codes

    def _on_publish(self, _client: Any, _data: Any, _mid: int, code: ReasonCode, _properties: Any) -> None:
        self._acknowledged = perf_counter(), code

    def _on_message(self, _client: Any, _data: Any, message: paho.MQTTMessage) -> None:
        if message.payload == self._payload:
            self._returned_at = self._returned_at or perf_counter()
        elif name := _SYS_TOPICS.get(message.topic):
            self._attempt.facts[name] = message.payload.decode("utf-8", "replace")[:_LONGEST_FACT]
