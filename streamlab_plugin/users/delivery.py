"""What travels in an MQTT payload so that its delivery can be measured and missed.

`MqttUser.publish` adds three fields to a payload that is a ``dict``: ``sent_at`` (epoch seconds), ``stream``
(machine, publisher and topic) and ``stream_seq`` (1, 2, 3 … within the stream).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec

from streamlab_plugin.users.clock import MACHINE_ID, epoch_s

_encode = msgspec.json.encode
_decode = msgspec.json.decode


class Stamped(NamedTuple):
    """A payload ready to go: its bytes, and its place in a stream if it is JSON."""

    data: bytes
    payload: bytes | None
    stream: str | None
    stream_seq: int | None


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


def read(topic: str, data: bytes, arrived: float, *, is_retained: bool) -> Delivery:
    """Make sense of a message that arrived at the `perf_counter` reading *arrived*.

    A retained message waited in the broker for its subscriber, so its age is no latency.
    """
    arrived_at = epoch_s(arrived)
    try:
        message = _decode(data)
    except ValueError:
        return Delivery(topic, data, len(data), None, None, arrived_at, None, None)
    fields: dict[str, Any] = message if isinstance(message, dict) else {}
    stream, number, sent_at = fields.get("stream"), fields.get("stream_seq"), fields.get("sent_at")
    stream = stream if isinstance(stream, str) else None
    number = number if type(number) is int else None
    is_ours = stream is not None and stream.startswith(MACHINE_ID)
    if not is_ours or is_retained or not isinstance(sent_at, float) or sent_at > arrived_at:
        sent_at = None
    return Delivery(topic, message, len(data), data, sent_at, arrived_at, stream, number)
