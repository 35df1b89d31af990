"""paho's client, made fit for a loop that is not its own."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from time import perf_counter
from typing import Any, NamedTuple, NotRequired, TypedDict

from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from websocket import ABNF

from streamlab_plugin.users.arrival import receive, take_notes
from streamlab_plugin.users.broker import Broker
from streamlab_plugin.users.mqtt_error import FAILURE

_READ_BYTES = 65_536
_DISCONNECT = b"\xe0\x00"
_SUCCESS = ReasonCode(PacketTypes.PUBACK)
_NO_PROPERTIES: Any = Properties(PacketTypes.PUBACK)  # type: ignore[no-untyped-call]


class Will(TypedDict):
    """What the broker publishes for a client that vanishes without a goodbye."""

    topic: str
    payload: str | bytes
    qos: NotRequired[int]
    retain: NotRequired[bool]


@dataclass(frozen=True, slots=True)
class Login:
    """How a client introduces itself.

    Raises:
        ValueError: A value that MQTT, or this version of it, does not have; the text begins with the name of
            the attribute of `MqttUser`.
    """

    client_id: str
    username: str | None
    password: str | None
    version: int
    keepalive_s: int
    is_clean: bool
    session_expiry_s: int
    will: Will | None

    def __post_init__(self) -> None:
        if self.version not in (4, 5):
            raise ValueError(f"mqtt_version must be 4 (3.1.1) or 5, got {self.version!r}")
        if self.session_expiry_s and self.version != 5:
            raise ValueError(f"session_expiry_s ({self.session_expiry_s}) needs mqtt_version 5")
        if self.will is not None and (not self.will.get("topic") or self.will.get("qos", 0) not in (0, 1, 2)):
            given = {key: value for key, value in self.will.items() if key != "payload"}
            raise ValueError(f"will must have a topic, and a qos of 0, 1 or 2, got {given!r}")

    @classmethod
    def of(cls, user: Any) -> Login:
        """Return what the attributes of *user*, or of its class, say."""
        return cls(
            user.client_id or "",
            user.username,
            user.password,
            user.mqtt_version,
            user.keepalive_s,
            user.clean_session,
            user.session_expiry_s,
            user.will,
        )


class Memory(NamedTuple):
    """What a client must know to resume a session."""

    last_mid: int
    told: set[int]  # packet ids of QoS 2 messages that were told before their release came


class MqttClient(paho.Client):
    """Reads whatever is there instead of a packet's parts one by one, and is silent after its goodbye.

    `reconnect` connects and sends CONNECT; it blocks for TCP, TLS and the WebSocket's handshake, each
    *connect_timeout_s* at most.
    """

    _received = b""
    _at = 0
    _has_said_goodbye = False
    _has_notes = False  # the kernel's, of arrivals
    arrived = 0.0  # what was read last, a `perf_counter` reading
    is_slow = False  # on purpose: what is read next arrives when it is read

    def __init__(self, broker: Broker, login: Login, connect_timeout_s: float) -> None:
        is_v5 = login.version == 5
        super().__init__(
            CallbackAPIVersion.VERSION2,
            client_id=login.client_id,
            protocol=paho.MQTTv5 if is_v5 else paho.MQTTv311,
            clean_session=None if is_v5 else login.is_clean,
            transport="tcp" if broker.path is None else "websockets",
            reconnect_on_failure=False,
        )
        self.connect_timeout = connect_timeout_s
        self.max_inflight_messages_set(0)  # the session limits instead: its wait is measured
        if login.username is not None:
            self.username_pw_set(login.username, login.password)
        if login.will is not None:
            self.will_set(**login.will)
        if broker.context is not None:
            self.tls_set_context(broker.context)
        self._certified = broker.certified
        if broker.path is not None:
            self.ws_set_options(broker.path)
        self._told: set[int] = set()
        address = broker.host, broker.port, login.keepalive_s
        if is_v5:
            properties: Any = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
            if login.session_expiry_s:
                properties.SessionExpiryInterval = login.session_expiry_s
            self.connect_async(*address, clean_start=login.is_clean, properties=properties)
        else:
            self.connect_async(*address)

    @property
    def raw_socket(self) -> Any:
        """The TCP or TLS socket, or None."""
        sock: Any = self.socket()
        return sock._socket if isinstance(sock, paho._WebsocketWrapper) else sock

    @property
    def has_more(self) -> bool:
        """Whether something was received that no event of the socket will tell of again."""
        if self._at < len(self._received):
            return self._sock is not None  # an acknowledgement that could not be written has closed it
        sock = self.raw_socket if self._ssl else None
        return sock is not None and sock.pending() > 0

    def say_goodbye(self) -> None:
        """Queue DISCONNECT behind all that is queued, and nothing after it.

        paho's own `disconnect` closes the socket once it is written and loses what the broker has sent.
        """
        self._packet_queue(paho.PINGREQ, _DISCONNECT, 0, 0)
        self._has_said_goodbye = True

    def unreleased(self) -> list[paho.MQTTMessage]:
        """Return QoS 2 messages that arrived but whose release did not; from now on they count as told."""
        messages = [message for mid, message in self._in_messages.items() if mid not in self._told]
        self._told.update(self._in_messages)
        self._in_messages.clear()
        return messages

    @property
    def memory(self) -> Memory:
        """What the next client needs to go on with this one's session."""
        return Memory(self._last_mid, self._told)

    def resume(self, memory: Memory) -> None:
        """Go on with the session of another client: reuse no packet id, deliver nothing twice."""
        self._last_mid, self._told = memory

    # What paho would do more slowly, or not at all

    def _create_socket(self) -> Any:
        sock: Any = super()._create_socket()
        if isinstance(sock, paho._WebsocketWrapper):
            sock._create_frame = _frame  # type: ignore[method-assign, assignment]
        else:
            self._has_notes = take_notes(sock)
        return sock

    def _ssl_wrap_socket(self, tcp_sock: Any) -> ssl.SSLSocket:
        context: Any = self._ssl_context
        sock: ssl.SSLSocket = context.wrap_socket(
            tcp_sock, server_hostname=self._certified, do_handshake_on_connect=False
        )
        sock.settimeout(self.connect_timeout)
        sock.do_handshake()
        return sock

    def _sock_recv(self, bufsize: int) -> bytes:
        if self._at == len(self._received):
            self._received, self.arrived = self._receive()
            self._at = 0
        start = self._at
        self._at = min(start + bufsize, len(self._received))
        return self._received[start : self._at]

    def _receive(self) -> tuple[bytes, float]:
        if self._has_notes and self._sock is not None and not self.is_slow:
            return receive(self._sock, _READ_BYTES)
        self.is_slow = False
        return super()._sock_recv(_READ_BYTES), perf_counter()

    def _packet_queue(self, command: Any, packet: Any, mid: int, qos: int, info: Any = None) -> Any:
        if self._has_said_goodbye:
            return paho.MQTT_ERR_SUCCESS
        return super()._packet_queue(command, packet, mid, qos, info)

    def _handle_pubackcomp(self, cmd: Any) -> Any:
        # Two bytes mean success; paho builds a reason and properties from tables for each of them.
        packet = self._in_packet["packet"]
        if len(packet) != 2:
            return super()._handle_pubackcomp(cmd)
        mid = packet[0] << 8 | packet[1]
        if mid in self._out_messages:
            return self._do_on_publish(mid, _SUCCESS, _NO_PROPERTIES)
        return paho.MQTT_ERR_SUCCESS

    def _handle_pubrec(self) -> Any:
        # A refusal ends the exchange; paho would go on with PUBREL and report what the broker says to that.
        packet = self._in_packet["packet"]
        if len(packet) > 2 and packet[2] >= FAILURE:
            mid = packet[0] << 8 | packet[1]
            if mid in self._out_messages:
                return self._do_on_publish(
                    mid, ReasonCode(PacketTypes.PUBREC, identifier=packet[2]), _NO_PROPERTIES
                )
            return paho.MQTT_ERR_SUCCESS
        return super()._handle_pubrec()

    def _handle_pubrel(self) -> Any:
        packet = self._in_packet["packet"]
        mid = packet[0] << 8 | packet[1] if len(packet) >= 2 else 0
        if mid in self._told:
            self._told.discard(mid)
            self._in_messages.pop(mid, None)
        return super()._handle_pubrel()


def _frame(opcode: int, data: bytearray, _do_masking: int = 1) -> bytearray:
    """Return a WebSocket frame of a client.

    paho masks byte by byte, which takes 5 ms for 64 KB, and leaves its pongs unmasked: servers hang up then.
    """
    return bytearray(ABNF(1, 0, 0, 0, opcode, 1, bytes(data)).format())
