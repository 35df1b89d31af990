"""paho's client, made fit for a loop that is not its own."""

from __future__ import annotations

import ssl
from typing import Any

from paho.mqtt import client as paho
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

_READ_BYTES = 65_536
_DISCONNECT = b"\xe0\x00"
_SUCCESS = ReasonCode(PacketTypes.PUBACK)
_NO_PROPERTIES: Any = Properties(PacketTypes.PUBACK)  # type: ignore[no-untyped-call]


class MqttClient(paho.Client):
    """Reads whatever is there instead of a packet's parts one by one, and is silent after its goodbye."""

    _received = b""
    _at = 0
    _has_said_goodbye = False

    def _sock_recv(self, bufsize: int) -> bytes:
        if self._at == len(self._received):
            self._received = super()._sock_recv(_READ_BYTES)
            self._at = 0
        start = self._at
        self._at = min(start + bufsize, len(self._received))
        return self._received[start : self._at]

    @property
    def has_more(self) -> bool:
        """Whether something was received that no event of the socket will tell of again."""
        if self._at < len(self._received):
            return True
        sock = self.socket()
        return sock is not None and isinstance(sock, ssl.SSLSocket) and sock.pending() > 0

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

    def say_goodbye(self) -> None:
        """Queue DISCONNECT behind all that is queued, and nothing after it.

        paho's own `disconnect` closes the socket once it is written and loses what the broker has sent.
        """
        self._packet_queue(paho.PINGREQ, _DISCONNECT, 0, 0)
        self._has_said_goodbye = True

    def unreleased(self) -> list[paho.MQTTMessage]:
        """Return QoS 2 messages that arrived but whose release did not."""
        messages = list(self._in_messages.values())
        self._in_messages.clear()
        return messages
