"""The record: one exchange with the system under test.

`RawRecord` is what the gate hands over and the link carries; nothing in it has been redacted yet, except
the endpoint and the error text. `Detail` is what Streamlab's own users add to Locust's request event.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

Protocol = Literal["websocket", "mqtt", "http", "other"]
Direction = Literal["out", "in"]
Outcome = Literal["success", "error", "timeout", "interrupted"]

PROTOCOLS: tuple[Protocol, ...] = ("websocket", "mqtt", "http", "other")
OUTCOMES: tuple[Outcome, ...] = ("success", "error", "timeout", "interrupted")
HTTP_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"})

# A payload above this is recorded as metadata only (bytes).
PAYLOAD_LIMIT_BYTES = 64 * 1024

# Ends the operation of a stored series whose records an injected fault touched: a series of their own keeps
# their counts and percentiles apart exactly, without a column that every other record would pay for.
FAULTED = "+fault"
# Their durations are no answer of the system under test to a request; they count, but in no percentile.
WITHOUT_LATENCY = frozenset(
    {"connect", "close", "push", "subscribe", "ping", "late", "orphan", "first_event", "event"}
)


class Detail(NamedTuple):
    """What a Streamlab user knows about an exchange beyond Locust's own event arguments.

    Passed as the keyword ``streamlab`` of ``events.request.fire``; the gate takes it out before any other
    listener runs.

    ``payload`` is JSON as ``bytes`` or ``str`` (kept as it is), or a value that is encoded at once.
    ``wait_ms`` is time lost before the send; Locust's response time stays the service time.
    ``outcome`` overrides what the gate would conclude from the exception. ``fault`` is id and kind of an
    injected fault that touched the exchange, as ``id:kind``.
    """

    protocol: str
    operation: str
    direction: str = "out"
    user_class: str = ""
    scheduled_at: float | None = None
    wait_ms: float | None = None
    payload: object = None
    outcome: str | None = None
    status: int | None = None
    correlation_id: str | None = None
    stream: str | None = None
    stream_seq: int | None = None
    fault: str | None = None


class RawRecord(NamedTuple):
    """One exchange on its way to the recorder; field meanings in docs/architecture.md.

    Times are epoch seconds (UTC), durations milliseconds, sizes bytes. ``endpoint`` is already a template
    and ``error_message`` already clean; ``payload``, ``correlation_id`` and ``stream`` are raw.
    """

    seq: int
    protocol: str
    operation: str
    endpoint: str
    direction: str
    user_class: str
    started_at: float
    scheduled_at: float | None
    latency_ms: float | None
    wait_ms: float | None
    size_bytes: int
    payload: bytes | None
    outcome: str
    status: int | None
    error_type: str | None
    error_message: str | None
    correlation_id: str | None
    stream: str | None
    stream_seq: int | None
    fault: str | None
