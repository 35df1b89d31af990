"""The rows of an MQTT user: what its exchanges, connections and deliveries look like as request events.

Each method fires one event and knows nothing of when it is due; that is the connector's and the teller's.
"""

from __future__ import annotations

from time import perf_counter
from typing import Any

from locust import User

from streamlab_plugin.core.record import Detail
from streamlab_plugin.users.clock import epoch_s
from streamlab_plugin.users.delivery import Delivery
from streamlab_plugin.users.exchange import Exchange
from streamlab_plugin.users.report import fire_aside, interrupted
from streamlab_plugin.users.session import Session

_REQUEST_TYPE = "MQTT"
_DELIVERY_TYPE = "MQTT-IN"  # so that Locust's table keeps publishing and delivery on one topic apart


class MqttRows:
    """Fire the request events of *user*."""

    def __init__(self, user: User) -> None:
        self._user = user
        self._user_class = type(user).__name__
        self._request_hook = user.environment.events.request

    def connect(self, session: Session) -> None:
        """Fire how an attempt to open *session* ended."""
        failure = session.failure
        detail = self._detail(
            "connect",
            status=0 if failure is None else getattr(failure, "status", None),
            outcome="timeout" if isinstance(failure, TimeoutError) else None,
        )
        self._fire("connect", session.started, session.opened, 0, failure, detail)

    def connect_interrupted(self, session: Session) -> None:
        """Record an attempt to open that the user's end has cut short."""
        interrupted(self._user, _REQUEST_TYPE, "connect", session.started, self._detail("connect"))

    def exchange(self, exchange: Exchange, *, is_aside: bool = False) -> None:
        """Fire how *exchange* ended; aside where the greenlet is not the user's."""
        error = exchange.error
        outcome = "timeout" if isinstance(error, TimeoutError) else None
        detail = self._detail(exchange.operation, outcome=outcome, status=exchange.status, **exchange.extra)
        size = exchange.size_bytes
        self._fire(exchange.name, exchange.started, exchange.ended, size, error, detail, is_aside=is_aside)

    def exchange_interrupted(self, exchange: Exchange) -> None:
        """Record an exchange that the user's end has cut short."""
        detail = self._detail(exchange.operation, **exchange.extra)
        interrupted(self._user, _REQUEST_TYPE, exchange.name, exchange.started, detail)

    def publish_interrupted(self, name: str, begun: float) -> None:
        """Record a publish that waited since *begun* and was never sent."""
        interrupted(self._user, _REQUEST_TYPE, name, begun, self._detail("publish"))

    def delivery(self, delivery: Delivery, subscriber: str, fault: str | None) -> None:
        """Fire a delivery to *subscriber*, with the label of the injected *fault* that touched it."""
        fire_aside(
            self._user,
            request_type=_DELIVERY_TYPE,
            name=delivery.topic,
            response_time=delivery.latency_ms,
            response_length=delivery.size,
            exception=None,
            context=self._user.context(),
            start_time=delivery.arrived_at if delivery.sent_at is None else delivery.sent_at,
            streamlab=self._detail(
                "deliver",
                direction="in",
                payload=delivery.payload,
                # Who got it: the same message comes to every subscriber, to each of them once.
                correlation_id=None if delivery.stream is None else subscriber,
                stream=delivery.stream,
                stream_seq=delivery.stream_seq,
                fault=fault,
            ),
        )

    def close(self, session: Session, end: Exception, *, is_over: bool) -> None:
        """Fire the end of *session*; *is_over* tells whether its user has ended."""
        closing = session.closing
        if session.gave_up and is_over:
            interrupted(self._user, _REQUEST_TYPE, "close", closing, self._detail("close"))
            return
        error: Exception | None = None if closing else end
        detail = self._detail(
            "close",
            direction="out" if closing else "in",
            status=0 if closing else getattr(end, "status", None),
            fault=None if session.strike is None else session.strike.label,
        )
        if session.gave_up:
            error = TimeoutError("the broker did not close in time")
            detail = self._detail("close", outcome="timeout")
        ended = perf_counter()
        fire_aside(
            self._user,
            request_type=_REQUEST_TYPE,
            name="close",
            response_time=(ended - closing) * 1000.0 if closing else None,
            response_length=0,
            exception=error,
            context=self._user.context(),
            start_time=epoch_s(closing or ended),
            streamlab=detail,
        )

    def _detail(self, operation: str, direction: str = "out", **fields: Any) -> Detail:
        return Detail("mqtt", operation, direction, self._user_class, **fields)

    def _fire(
        self,
        name: str,
        started: float,
        ended: float,
        size: int,
        error: Exception | None,
        detail: Detail,
        *,
        is_aside: bool = False,
    ) -> None:
        event = {
            "request_type": _REQUEST_TYPE,
            "name": name,
            "response_time": (ended - started) * 1000.0,
            "response_length": size,
            "exception": error,
            "context": self._user.context(),
            "start_time": epoch_s(started),
            "streamlab": detail,
        }
        if is_aside:
            fire_aside(self._user, **event)
        else:
            self._request_hook.fire(**event)
