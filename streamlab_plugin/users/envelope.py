"""Where publisher, number and time of an MQTT message travel.

====================  ==========================================================================
``json``              three fields of a payload that is a ``dict``; other payloads are not stamped
``user_properties``   user properties of MQTT 5: the payload is left alone
``binary``            a prefix before any payload; for brokers and payloads that allow neither
====================  ==========================================================================

Publisher and subscriber must use the same one; a message in another has no place and no latency.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

import msgspec
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from streamlab_plugin.users.delivery import Delivery, Stamped, decoded, delivery, read, stamp

_encode = msgspec.json.encode

Stamp = Callable[[dict[str, Any] | bytes | str, str, int, float], Stamped]
Read = Callable[..., Delivery]

# Magic, epoch second of the sending, number, length of the stream's name; the name and the payload follow.
_PREFIX = struct.Struct(">4sdQH")
_MAGIC = b"\xf5SL1"
_SENT_AT, _STREAM, _NUMBER = "streamlab-sent-at", "streamlab-stream", "streamlab-seq"


def envelope(name: str, mqtt_version: int) -> tuple[Stamp, Read]:
    """Return how to stamp a payload and how to read a message.

    Raises:
        ValueError: There is no such envelope, or this version of MQTT cannot have it.
    """
    if name not in _ENVELOPES:
        raise ValueError(f"envelope must be one of {', '.join(_ENVELOPES)}, got {name!r}")
    if name == "user_properties" and mqtt_version != 5:
        raise ValueError(f"envelope 'user_properties' needs mqtt_version 5, got {mqtt_version!r}")
    return _ENVELOPES[name]


def _plain(payload: dict[str, Any] | bytes | str) -> tuple[bytes, bytes | None]:
    """Return the payload's bytes, and what is recorded of it: JSON."""
    if isinstance(payload, dict):
        data = _encode(payload)
        return data, data
    data = payload.encode() if isinstance(payload, str) else payload
    return data, data if data[:1] in (b"{", b"[") else None


def _stamp_properties(
    payload: dict[str, Any] | bytes | str, stream: str, number: int, now_s: float
) -> Stamped:
    data, recorded = _plain(payload)
    properties: Any = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
    properties.UserProperty = [(_SENT_AT, repr(now_s)), (_STREAM, stream), (_NUMBER, str(number))]
    return Stamped(data, recorded, stream, number, properties)


def _read_properties(
    topic: str, data: bytes, arrived: float, properties: Any = None, *, is_retained: bool
) -> Delivery:
    fields = dict(getattr(properties, "UserProperty", ()))
    place = (
        _number(float, fields.get(_SENT_AT)),
        fields.get(_STREAM),
        _number(int, fields.get(_NUMBER)),
    )
    return delivery(topic, decoded(data), data, len(data), arrived, place, is_retained=is_retained)


def _number(kind: Callable[[str], float | int], text: str | None) -> float | int | None:
    try:
        return None if text is None else kind(text)
    except ValueError:
        return None


def _stamp_binary(payload: dict[str, Any] | bytes | str, stream: str, number: int, now_s: float) -> Stamped:
    data, recorded = _plain(payload)
    name = stream.encode()
    return Stamped(_PREFIX.pack(_MAGIC, now_s, number, len(name)) + name + data, recorded, stream, number)


def _read_binary(
    topic: str, data: bytes, arrived: float, _properties: Any = None, *, is_retained: bool
) -> Delivery:
    size = len(data)
    place: tuple[Any, Any, Any] = None, None, None
    if size >= _PREFIX.size and data.startswith(_MAGIC):
        _magic, sent_at, number, length = _PREFIX.unpack_from(data)
        start = _PREFIX.size + length
        if start <= size:
            place = sent_at, data[_PREFIX.size : start].decode(errors="replace"), number
            data = data[start:]
    return delivery(topic, decoded(data), data, size, arrived, place, is_retained=is_retained)


_ENVELOPES: dict[str, tuple[Stamp, Read]] = {
    "json": (stamp, read),
    "user_properties": (_stamp_properties, _read_properties),
    "binary": (_stamp_binary, _read_binary),
}
