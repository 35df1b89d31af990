"""A WebSocket user's connection, the greenlet that reads it, and what is in flight on it.

The greenlet outlives a killed user until the server has said goodbye, so that nothing the server sent is
lost. Whoever takes a `Flight` out of ``flights`` reports it; hence each request has exactly one row.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from time import perf_counter
from typing import TYPE_CHECKING, Any, NamedTuple

import gevent
import websocket
from gevent import GreenletExit
from gevent.hub import Waiter
from websocket import ABNF

from streamlab_plugin.users.connection import (
    ABNORMAL,
    NORMAL,
    Connection,
    ConnectionClosedError,
    StalledError,
    Upgrade,
)
from streamlab_plugin.users.flight import Flight
from streamlab_plugin.users.websocket_faults import culprit, pause
from streamlab_plugin.users.websocket_rows import Rows

if TYPE_CHECKING:
    from streamlab_plugin.users.injector import Injector, Strike

# Requests without a reply whose late reply is recognised as such (per connection).
_ABANDONED_LIMIT = 1_000
# Requests with a reply whose second one is recognised as such.
_ANSWERED_LIMIT = 16


class Hooks(NamedTuple):
    """What a channel asks of its user; the first four may be the test's own code."""

    decode: Callable[[bytes], Any]
    push_name: Callable[[Any], str]
    on_push: Callable[[Any], None]
    reply_id: Callable[[Any], Any]
    failed: Callable[[Exception], None]  # a hook raised
    opened: Callable[[Channel], None]
    ended: Callable[[Channel], None]  # it was open and is not any more
    is_over: Callable[[], bool]  # the user has been killed


class Channel:
    """One connection; `run` is the body of the greenlet ``reader``. Moments are `perf_counter` readings."""

    reader: gevent.Greenlet[..., None]

    def __init__(
        self,
        url: str,
        name: str,
        *,
        rows: Rows,
        hooks: Hooks,
        ping_interval_s: float,
        ping_timeout_s: float,
        read_delay_s: float,
        wait_ms: float | None,
        injector: Injector | None,
    ) -> None:
        self.url = url
        self.name = name
        self.connection = Connection()
        self.waiter: Any = Waiter()
        self.started = perf_counter()
        self.opened = 0.0  # end of the handshake, also of a failed one; 0 before
        self.failure: Exception | None = None
        self.is_settled = False  # whether the connect has its row
        self.closing = 0.0  # when we began to close; 0 before
        self.gave_up = False  # the server never said goodbye
        self.in_hook = False
        self.strike: Strike | None = None  # the injected fault that ended it
        self.flights: dict[Any, Flight] = {}
        self.wait_ms = wait_ms
        self._abandoned: dict[Any, tuple[str, float]] = {}
        self._answered: dict[Any, None] = {}  # in order
        self._pushed_at = 0.0
        self._pings: dict[bytes, float] = {}
        self._rows = rows
        self._hooks = hooks
        self._ping_interval_s = ping_interval_s
        self._ping_timeout_s = ping_timeout_s
        self._read_delay_s = read_delay_s
        self._injector = injector
        self._hub = gevent.get_hub()

    # For the user

    def settle(self) -> None:
        """Give the connect its row, once."""
        if not self.is_settled:
            self.is_settled = True
            self._rows.connected(
                self.name, self.started, self.opened, self.failure, self.connection.phases_ms, self.wait_ms
            )

    def interrupt_connect(self) -> None:
        """Record that the user was killed during the handshake."""
        if not self.is_settled:
            self.is_settled = True
            self._rows.interrupted(self.name, self.started, self._rows.detail("connect"))

    def interrupt(self, flight: Flight) -> None:
        """Record that the user was killed while it waited for a reply."""
        self.abandon(flight)
        detail = self._rows.detail("request", correlation_id=flight.correlation_id, strike=flight.strike)
        self._rows.interrupted(flight.name, flight.started, detail)

    def abandon(self, flight: Flight) -> None:
        """Remember a request that nobody waits for, so that its reply will be known as late."""
        self._abandoned[flight.correlation_id] = flight.name, flight.started
        if len(self._abandoned) > _ABANDONED_LIMIT:
            del self._abandoned[next(iter(self._abandoned))]

    def close(self, code: int, reason: str = "") -> None:
        """Send the close frame; the reader sees the rest."""
        if not self.closing:
            self.closing = perf_counter()
        self.connection.send_close(code, reason)

    def give_up(self) -> None:
        """Stop waiting for the server's goodbye."""
        self.gave_up = True
        self.connection.abort()
        self.reader.kill()

    # Opening and reading

    def run(self, upgrade: Upgrade, timeout_s: float) -> None:
        """Shake hands, then read until the connection ends."""
        failure: Exception | None = None
        try:
            self.connection.open(self.url, upgrade, timeout_s)
        except (OSError, ValueError, websocket.WebSocketException) as error:
            failure = error
        if not self.is_settled:
            self.failure, self.opened = failure, perf_counter()
        self._wake(self.waiter)
        self._hooks.opened(self)
        if failure is None:
            self._read()

    def _read(self) -> None:
        if self._hooks.is_over():
            self.close(NORMAL)
        pinger = gevent.spawn(self._ping) if self._ping_interval_s > 0 else None
        closed = ConnectionClosedError(ABNORMAL)
        try:
            while True:
                opcode, data = self.connection.read()
                self._received(opcode, data)
                if self._read_delay_s and not self._hooks.is_over():
                    gevent.sleep(self._read_delay_s)
        except ConnectionClosedError as end:
            closed = end
        finally:
            if pinger is not None:
                pinger.kill(block=False)
            self.connection.discard()
            self._lost(closed)

    def _received(self, opcode: int, data: bytes) -> None:
        arrived = perf_counter() if self._read_delay_s else self.connection.arrived
        if opcode == ABNF.OPCODE_BINARY:
            self._pushed(data, data, arrived)
            return
        try:
            message = self._hooks.decode(data)
        except ValueError as error:
            self._pushed(data, None, arrived, error=_undecodable(data, error))
            return
        correlation_id = self._hooks.reply_id(message)
        if correlation_id is None:
            self._pushed(data, message, arrived, payload=data)
            return
        flight = self.flights.pop(correlation_id, None)
        if flight is None:
            self._unexpected(correlation_id, data, message, arrived)
            return
        self._answered[correlation_id] = None
        if len(self._answered) > _ANSWERED_LIMIT:
            del self._answered[next(iter(self._answered))]
        flight.arrived = arrived
        flight.reply = message
        flight.raw = data
        self._wake(flight.waiter)

    def _unexpected(self, correlation_id: Any, data: bytes, message: Any, arrived: float) -> None:
        """Record a message with the id of no request that is waited for."""
        rows = self._rows
        if (abandoned := self._abandoned.pop(correlation_id, None)) is not None:
            name, started = abandoned
            detail = rows.detail("late", direction="in", payload=data, correlation_id=correlation_id)
            rows.aside(name, arrived, (arrived - started) * 1000.0, len(data), None, detail)
        elif correlation_id in self._answered:
            detail = rows.detail("orphan", direction="in", payload=data, correlation_id=correlation_id)
            rows.aside(self._hooks.push_name(message), arrived, None, len(data), None, detail)
        else:
            self._pushed(data, message, arrived, payload=data, correlation_id=correlation_id)

    def _pushed(
        self,
        data: bytes,
        message: Any,
        arrived: float,
        *,
        payload: bytes | None = None,
        correlation_id: Any = None,
        error: Exception | None = None,
    ) -> None:
        gap_ms = (arrived - self._pushed_at) * 1000.0 if self._pushed_at else None
        self._pushed_at = arrived
        strike = None if self._injector is None else self._injector.received("push", partial(pause, self))
        detail = self._rows.detail(
            "push", direction="in", payload=payload, correlation_id=correlation_id, strike=strike
        )
        name = "push" if error is not None else self._hooks.push_name(message)
        self._rows.aside(name, arrived, gap_ms, len(data), error, detail)
        if error is None and not self._hooks.is_over():
            self._call_hook(message)

    def _call_hook(self, message: Any) -> None:
        self.in_hook = True
        try:
            self._hooks.on_push(message)
        except GreenletExit:
            # The user's end kills the hook, not the reading.
            if not self._hooks.is_over():
                raise
        except Exception as error:  # noqa: BLE001 - the user's code; reported as Locust reports a task's
            self._hooks.failed(error)
        finally:
            self.in_hook = False

    def _wake(self, waiter: Any) -> None:
        self._hub.loop.run_callback(waiter.switch, None)

    # Pings of our own

    def _ping(self) -> None:
        """Ask for a pong again and again; a server that owes one for too long counts as gone."""
        self.connection.on_pong = self._ponged
        number = 0
        try:
            while True:
                gevent.sleep(self._ping_interval_s)
                now = perf_counter()
                left_s = self._ping_timeout_s - (now - next(iter(self._pings.values()), now))
                if left_s < 0:
                    raise StalledError
                number += 1
                token = number.to_bytes(4, "big")
                self._pings[token] = now
                self.connection.write_within(left_s, ABNF.OPCODE_PING, token)
        except StalledError:
            sent = next(iter(self._pings.values()))
            self._answer_ping(sent, perf_counter(), TimeoutError("no pong in time"))
            self.connection.abort()
        except OSError:
            pass  # the reader reports the end

    def _ponged(self, token: bytes) -> None:
        if (sent := self._pings.pop(token, None)) is not None:
            self._answer_ping(sent, self.connection.arrived, None)

    def _answer_ping(self, sent: float, ended: float, error: Exception | None) -> None:
        detail = self._rows.detail("ping", outcome=None if error is None else "timeout")
        self._rows.aside(self.name, sent, (ended - sent) * 1000.0, 0, error, detail)

    # The end

    def _lost(self, closed: ConnectionClosedError) -> None:
        """Record how an established connection ended, and end what was in flight on it."""
        flights = list(self.flights.values())
        self.flights.clear()
        self._hooks.ended(self)
        self.strike = self.strike or culprit(flights)
        self._record_close(closed)
        for flight in flights:
            flight.strike = flight.strike or self.strike
            flight.error, flight.arrived = closed, perf_counter()
            self._wake(flight.waiter)

    def _record_close(self, closed: ConnectionClosedError) -> None:
        rows = self._rows
        if self.gave_up and self._hooks.is_over():
            rows.interrupted(self.name, self.closing, rows.detail("close"))
            return
        error: Exception | None = None if self.closing else closed
        direction = "out" if self.closing else "in"
        detail = rows.detail("close", direction=direction, status=closed.code, strike=self.strike)
        if self.gave_up:
            error = TimeoutError("no close frame in time")
            detail = rows.detail("close", outcome="timeout")
        now = perf_counter()
        latency_ms = (now - self.closing) * 1000.0 if self.closing else None
        rows.aside(self.name, self.closing or now, latency_ms, 0, error, detail)


def _undecodable(data: bytes, error: ValueError) -> ValueError:
    """Return *error* without what the server sent: messages of decoders quote their input."""
    try:
        data.decode()
    except UnicodeDecodeError:
        return ValueError("message is not UTF-8")
    return ValueError(f"message is not JSON ({type(error).__name__})")
