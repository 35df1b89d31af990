"""What a subscriber gets, and how its age and its place in a stream are told.

An envelope says where they travel (`envelope.py`). The one here is the default: `MqttUser.publish` adds three
fields to a payload that is a ``dict``: ``sent_at`` (epoch seconds), ``stream`` (machine, publisher and topic)
and ``stream_seq`` (1, 2, 3 … within the stream).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec

from streamlab_plugin.users.clock import MACHINE_ID, epoch_s

_encode = msgspec.json.encode
_decode = msgspec.json.decode


class Stamped(NamedTuple):
    """A payload ready to go: its bytes, what is recorded of it, and its place in a stream if it has one."""

    data: bytes
    payload: bytes | None
    stream: str | None
    stream_seq: int | None
    properties: Any = None  # of MQTT 5, where an envelope uses them


def stream_name(publisher: str, topic: str) -> str:
    """Return the name of the stream of one publisher on one topic."""
    return f"{MACHINE_ID}:{publisher}:{topic}"


def stamp(payload: dict[str, Any] | bytes | str, stream: str, number: int, now_s: float) -> Stamped:
    """Return *payload* as bytes; a ``dict`` gets the three fields where it has none of its own."""
    if isinstance(payload, dict):
        body = {"sent_at": now_s, "stream": stream, "stream_seq": number, **payload}
        data = _encode(body)
        return Stamped(data, data, body["stream"], body["stream_seq"])
    data = payload.encode() if isinstance(payload, str) else payload
    return Stamped(data, data if data[:1] in (b"{", b"[") else None, None, None)


class Delivery(NamedTuple):
    """A message as a subscriber got it; ``message`` is the decoded JSON, else the bytes."""

    topic: str
    message: Any
    size: int
    payload: bytes | None
    sent_at: float | None  # epoch seconds, only where this machine's clock wrote it
    arrived_at: float
    stream: str | None
    stream_seq: int | None

    @property
    def latency_ms(self) -> float | None:
        """Time from publisher to subscriber, or None where the publisher's clock is not ours."""
        return None if self.sent_at is None else (self.arrived_at - self.sent_at) * 1000.0


def read(topic: str, data: bytes, arrived: float, _properties: Any = None, *, is_retained: bool) -> Delivery:
    """Make sense of a message that arrived at the `perf_counter` reading *arrived*.

    A retained message waited in the broker for its subscriber, so its age is no latency.
    """
    message = decoded(data)
    fields: dict[str, Any] = message if isinstance(message, dict) else {}
    place = fields.get("sent_at"), fields.get("stream"), fields.get("stream_seq")
    return delivery(topic, message, data, len(data), arrived, place, is_retained=is_retained)


def decoded(data: bytes) -> Any:
    """Return the JSON value that *data* is, else *data*."""
    try:
        return _decode(data)
    except ValueError:
        return data


def delivery(
    topic: str,
    message: Any,
    data: bytes,
    size: int,
    arrived: float,
    place: tuple[Any, Any, Any],
    *,
    is_retained: bool,
) -> Delivery:
    """Return the delivery of *message*, trusting nothing that its envelope says.

    Args:
        topic: Of the message.
        message: What `decoded` made of *data*.
        data: The payload without its envelope.
        size: Bytes of the payload as it came.
        arrived: `perf_counter` reading.
        place: Claimed epoch second of the sending, stream, and number in the stream.
        is_retained: Whether the message waited in the broker.
    """
    arrived_at = epoch_s(arrived)
    sent_at, stream, number = place
    stream = stream if isinstance(stream, str) else None
    number = number if type(number) is int else None
    if is_retained:
        stream = number = None  # its place in a stream says nothing either
    is_ours = stream is not None and stream.startswith(MACHINE_ID)
    if not is_ours or not isinstance(sent_at, float) or not 0.0 <= sent_at <= arrived_at:
        sent_at = None
    payload = None if message is data else data
    return Delivery(topic, message, size, payload, sent_at, arrived_at, stream, number)
