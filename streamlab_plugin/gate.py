"""The request hook: everything Locust's listeners and the recorder get to see passes here first.

`Gate.fire` shadows `fire` on the environment's request hook, so references that a locustfile took at import,
and `measure()`, are covered too. It runs in a user's greenlet for every request: it must not block, not
raise by itself, and cost a few microseconds at most.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from streamlab_plugin.core.record import HTTP_METHODS, PAYLOAD_LIMIT_BYTES, Detail
from streamlab_plugin.privacy.exception import ExceptionCleaner
from streamlab_plugin.privacy.template import template

if TYPE_CHECKING:
    from streamlab_plugin.core.handover import Handover

logger = logging.getLogger(__name__)

_NAME_CACHE_LIMIT = 20_000
_LOG_INTERVAL_S = 10.0
_encode = msgspec.json.encode


def of(environment: Any) -> Gate | None:
    """Return the gate of a Locust environment, or None where Streamlab is not installed."""
    return getattr(environment.events.request, "streamlab_gate", None)


class Paced(Protocol):
    """Whatever starts iterations by a schedule; see users/pacing.py."""

    def claim(self, detail: Detail | None, started_at: float) -> tuple[float, float] | None:
        """Return (scheduled_at, wait_ms) for the first request of an iteration."""

    def counts(self) -> dict[str, int]:
        """Return the totals of arrivals in this process's part of the run."""


class Gate:
    """Clean what Locust's listeners see and hand each request over to the link.

    Args:
        handover: Where raw records go; its ``dropped`` counts by reason belong to the open stream.
        reduce: Makes of a cleaned error text what may be known of it.
    """

    def __init__(self, handover: Handover, reduce: Callable[[str], str]) -> None:
        self._handover = handover
        self._put = handover.put
        self._cleaner = ExceptionCleaner(reduce)
        self._names: dict[object, str] = {}
        self._fire: Callable[..., None] = _no_hook
        self._fire_user_error: Callable[..., None] = _no_hook
        self._recording = False
        self._next_log_at = 0.0
        self.produced = 0
        self.arrivals: Paced | None = None  # set while a schedule starts the users

    def install(self, events: Any) -> None:
        """Shadow the hooks of *events*; only the first gate of an environment counts."""
        if getattr(events.request, "streamlab_gate", None) is not None:
            return
        self._fire, self._fire_user_error = events.request.fire, events.user_error.fire
        events.request.streamlab_gate = self
        events.request.fire = self.fire
        events.user_error.fire = self.fire_user_error

    def open(self) -> None:
        """Start numbering a new stream; requests fired since the last one count as dropped (no_run)."""
        outside = self._handover.dropped.get("no_run", 0)
        self._handover.dropped = {"no_run": outside} if outside else {}
        self.produced = outside
        self._recording = True

    def close(self) -> tuple[int, dict[str, int]]:
        """End the stream and return its final ``produced`` and ``dropped`` by reason."""
        self._recording = False
        final = self.produced, self._handover.dropped
        self.produced, self._handover.dropped = 0, {}
        return final

    def arrival_counts(self) -> dict[str, int]:
        """Return the totals of this process's arrivals so far, empty without a schedule."""
        return {} if self.arrivals is None else self.arrivals.counts()

    def fire(self, *, reverse: bool = False, **event: Any) -> None:
        """Take the place of ``EventHook.fire`` for requests."""
        detail: Detail | None = event.pop("streamlab", None)
        clean = None
        try:
            name = event["name"]
            event["name"] = endpoint = self._names.get(name) or self._template(name)
            error = event.get("exception")
            if error is not None:
                clean = self._cleaner.clean(error)
                event["exception"] = clean.shown
        except Exception:  # noqa: BLE001 - guard line: fail closed, show nothing
            event["name"] = endpoint = "(unreadable)"
            if event.get("exception") is not None:
                event["exception"] = "(unreadable)"
            self._note("a request could not be cleaned")
        try:
            self._fire(reverse=reverse, **event)
        finally:
            self._record(endpoint, clean, detail, event)

    def fire_user_error(self, *, reverse: bool = False, **event: Any) -> None:
        """Take the place of ``EventHook.fire`` for exceptions in tasks."""
        try:
            event["exception"] = self._cleaner.clean(event.get("exception")).shown
        except Exception:  # noqa: BLE001 - guard line: fail closed, show nothing
            event["exception"] = RuntimeError("(unreadable)")
        self._fire_user_error(reverse=reverse, **event)

    def record_interrupted(
        self, *, request_type: str, name: str, started_at: float, latency_ms: float, detail: Detail
    ) -> None:
        """Record a request that was in flight when Locust killed its user; Locust's listeners see nothing."""
        try:
            endpoint = self._names.get(name) or self._template(name)
        except Exception:  # noqa: BLE001 - guard line
            endpoint = "(unreadable)"
        event = {"request_type": request_type, "response_time": latency_ms, "start_time": started_at}
        self._record(endpoint, None, detail._replace(outcome="interrupted", payload=None), event)

    def _record(self, endpoint: str, clean: Any, detail: Detail | None, event: dict[str, Any]) -> None:
        try:
            self.produced = seq = self.produced + 1
            if not self._recording:
                self._handover.drop("no_run")
                return
            latency_ms = event.get("response_time")
            started_at = event.get("start_time")
            if started_at is None:
                started_at = time.time() - (latency_ms or 0.0) / 1000.0
            outcome, error_type, message = "success", None, None
            if clean is not None:
                outcome = "timeout" if clean.is_timeout else "error"
                error_type, message = clean.error_type, clean.message
            arrival = None if self.arrivals is None else self.arrivals.claim(detail, started_at)
            if detail is None:
                kind = event.get("request_type") or ""
                response = event.get("response")
                # 0 is how FastHttpUser says that there was no answer.
                status = None if response is None else getattr(response, "status_code", None) or None
                self._put(
                    (
                        seq, "http" if kind in HTTP_METHODS else "other", kind, endpoint, "out", "",
                        started_at, arrival and arrival[0], latency_ms, arrival and arrival[1],
                        event.get("response_length") or 0, None, outcome, status, error_type, message, None,
                        None, None, None,
                    )
                )  # fmt: skip
                return
            (
                protocol, operation, direction, user_class, scheduled_at, wait_ms, payload, own_outcome,
                status, correlation_id, stream, stream_seq, fault,
            ) = detail  # fmt: skip
            if arrival is not None:
                # From the schedule to the send, which includes what the user waited for by itself.
                scheduled_at, wait_ms = arrival
            if payload is not None and (type(payload) is not bytes or len(payload) > PAYLOAD_LIMIT_BYTES):
                payload = _bounded(payload)
            self._put(
                (
                    seq, protocol, operation, endpoint, direction, user_class, started_at, scheduled_at,
                    latency_ms, wait_ms, event.get("response_length") or 0, payload, own_outcome or outcome,
                    status, error_type, message, correlation_id, stream, stream_seq, fault,
                )
            )  # fmt: skip
        except Exception:  # noqa: BLE001 - guard line: the load goes on, the loss is counted
            self._handover.drop("gate_error")
            self._note("a request could not be handed over")

    def _template(self, name: object) -> str:
        if len(self._names) >= _NAME_CACHE_LIMIT:
            self._names.clear()
        result = self._names[name] = template(str(name))
        return result

    def _note(self, what: str) -> None:
        now = time.monotonic()
        if now >= self._next_log_at:
            self._next_log_at = now + _LOG_INTERVAL_S
            logger.warning("Streamlab: %s; the test goes on (said every %d s at most)", what, _LOG_INTERVAL_S)


def _bounded(payload: object) -> bytes | None:
    """Return a payload as bytes that cannot change any more, or None when it is too large or no JSON."""
    if not isinstance(payload, bytes):
        try:
            payload = payload.encode() if isinstance(payload, str) else _encode(payload)
        except (TypeError, ValueError, RecursionError, msgspec.MsgspecError):
            return None
    return payload if len(payload) <= PAYLOAD_LIMIT_BYTES else None


def _no_hook(**_event: Any) -> None:
    """Stand in for a hook that has not been shadowed yet."""
