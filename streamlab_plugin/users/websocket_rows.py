"""The rows of a WebSocket user: what Locust's event and Streamlab's record say of each exchange."""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING, Any

import websocket
from greenlet import getcurrent
from locust import User

from streamlab_plugin.core.record import Detail
from streamlab_plugin.users.clock import epoch_s
from streamlab_plugin.users.connection import ConnectionClosedError
from streamlab_plugin.users.flight import Flight
from streamlab_plugin.users.report import fire_aside, interrupted

if TYPE_CHECKING:
    from streamlab_plugin.users.injector import Strike

_TYPE = "WS"
# Answers that nobody waits for; types of their own keep them out of the lines of requests in Locust's table.
_ODD_TYPES = {"late": "WS-LATE", "orphan": "WS-ORPHAN", "ping": "WS-PING"}


class Rows:
    """Fire the rows of one user. Moments are `perf_counter` readings."""

    def __init__(self, user: User) -> None:
        self._user = user
        self._user_class = type(user).__name__
        self._hook = user.environment.events.request

    def detail(
        self,
        operation: str,
        *,
        direction: str = "out",
        payload: object = None,
        outcome: str | None = None,
        status: int | None = None,
        correlation_id: Any = None,
        wait_ms: float | None = None,
        strike: Strike | None = None,
    ) -> Detail:
        """Return what a row says beyond Locust's own event."""
        if correlation_id is not None and type(correlation_id) is not str:
            correlation_id = str(correlation_id)
        detail = Detail(
            "websocket", operation, direction, self._user_class, None, wait_ms, payload, outcome, status,
            correlation_id,
        )  # fmt: skip
        return detail if strike is None else strike.marked(detail)

    def fire(
        self, name: str, started: float, ended: float, size: int, error: Exception | None, detail: Detail
    ) -> None:
        """Fire the request event in the user's greenlet."""
        self._hook.fire(
            request_type=_TYPE,
            name=name,
            response_time=(ended - started) * 1000.0,
            response_length=size,
            exception=error,
            context=self._user.context(),
            start_time=epoch_s(started),
            streamlab=detail,
        )

    def aside(
        self,
        name: str,
        at: float,
        latency_ms: float | None,
        size: int,
        error: Exception | None,
        detail: Detail,
    ) -> None:
        """Fire the request event in another greenlet than the user's."""
        fire_aside(
            self._user,
            request_type=_ODD_TYPES.get(detail.operation, _TYPE),
            name=name,
            response_time=latency_ms,
            response_length=size,
            exception=error,
            context=self._user.context(),
            start_time=epoch_s(at),
            streamlab=detail,
        )

    def connected(
        self,
        name: str,
        started: float,
        opened: float,
        failure: Exception | None,
        phases_ms: dict[str, float],
        wait_ms: float | None,
    ) -> None:
        """A connection was opened, or could not be; *wait_ms* was spent before it was tried."""
        detail = self.detail(
            "connect",
            payload=phases_ms or None,
            status=101 if failure is None else getattr(failure, "status", None),
            outcome="timeout" if _is_timeout(failure) else None,
            wait_ms=wait_ms,
        )
        if getcurrent() is self._user.greenlet:
            self.fire(name, started, opened, 0, failure, detail)
        else:
            self.aside(name, started, (opened - started) * 1000.0, 0, failure, detail)

    def answered(self, flight: Flight) -> None:
        """A request has its reply."""
        raw = flight.raw or b""
        detail = self.detail(
            "request", payload=raw, correlation_id=flight.correlation_id, strike=flight.strike
        )
        self.fire(flight.name, flight.started, flight.arrived, len(raw), None, detail)

    def lost(self, flight: Flight, error: ConnectionClosedError) -> None:
        """The connection ended under a request."""
        detail = self.detail(
            "request", status=error.code, correlation_id=flight.correlation_id, strike=flight.strike
        )
        self.fire(flight.name, flight.started, flight.arrived, 0, error, detail)

    def timed_out(self, flight: Flight) -> None:
        """A request had no reply in time."""
        detail = self.detail(
            "request", outcome="timeout", correlation_id=flight.correlation_id, strike=flight.strike
        )
        error = TimeoutError("no reply in time")
        self.fire(flight.name, flight.started, perf_counter(), 0, error, detail)

    def interrupted(self, name: str, started: float, detail: Detail) -> None:
        """The user was killed while something was under way."""
        interrupted(self._user, _TYPE, name, started, detail)


def _is_timeout(error: Exception | None) -> bool:
    return isinstance(error, (TimeoutError, websocket.WebSocketTimeoutException))
