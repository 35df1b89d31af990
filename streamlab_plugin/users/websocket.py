"""A Locust user that speaks WebSocket: requests with matched replies, one-way sends, recorded pushes.

Each connection has a greenlet of its own, which shakes hands, reads, and outlives a killed user until the
server has said goodbye, so that nothing the server sent is lost. Whoever takes a `Flight` out of
``flights`` reports it; hence each request has exactly one row, however it ends.
"""

from __future__ import annotations

from time import perf_counter
from typing import Any, ClassVar

import gevent
import msgspec
import websocket
from gevent import GreenletExit
from gevent.lock import Semaphore
from greenlet import getcurrent
from locust import User
from locust.exception import StopTest
from websocket import ABNF

from streamlab_plugin.core.record import Detail
from streamlab_plugin.users.clock import epoch_s
from streamlab_plugin.users.closing import DRAIN_LIMIT_S, closers
from streamlab_plugin.users.connection import ABNORMAL, NORMAL, ConnectionClosedError
from streamlab_plugin.users.correlation import new_id
from streamlab_plugin.users.flight import Flight, Link
from streamlab_plugin.users.report import fire_aside, hook_failed, interrupted

_REQUEST_TYPE = "WS"

_encode = msgspec.json.encode
_decode = msgspec.json.decode


class WebSocketUser(User):
    """A user of a WebSocket API whose messages are JSON.

    Set `host` to a ``ws://`` or ``wss://`` URL and `ws_path` to the path (with query). Methods do not raise
    for what the server does: a failure is recorded, and the answer is ``None`` or ``False``.

    Raises:
        StopTest: `host` is no WebSocket URL.
    """

    abstract = True

    ws_path: str = "/"
    ws_headers: ClassVar[dict[str, str]] = {}
    ws_subprotocols: tuple[str, ...] = ()
    connect_timeout_s: float = 10.0
    reply_timeout_s: float = 10.0
    ping_interval_s: float = 0.0  # 0: no pings of our own
    correlation_field: str = "correlation_id"

    def __init__(self, environment: Any) -> None:
        super().__init__(environment)
        if not (self.host or "").startswith(("ws://", "wss://")):
            raise StopTest(f"{type(self).__name__}.host must be a ws:// or wss:// URL, got {self.host!r}")
        self._user_class = type(self).__name__
        self._hub = gevent.get_hub()
        self._request_hook = environment.events.request
        self._link: Link | None = None  # open
        self._opening_link: Link | None = None  # shaking hands
        self._live: list[Link] = []  # all whose greenlet still runs
        self._opening = Semaphore(1)
        self._path = self.ws_path
        self._name: str | None = None
        self._is_over = False

    # For tasks

    def connect(self, path: str | None = None, name: str | None = None) -> bool:
        """Connect unless connected; tell whether there is a connection now.

        *path* defaults to `ws_path`, *name* to the path without its query. Sends connect by themselves, to
        the same place as last time.
        """
        self._path = self.ws_path if path is None else path
        self._name = name
        return (self._link or self._open()) is not None

    def send(self, message: dict[str, Any] | str | bytes, name: str) -> bool:
        """Send *message* and expect no reply; tell whether it was handed to the network.

        A ``dict`` is sent as JSON text, ``str`` as text, ``bytes`` as a binary message.
        """
        link = self._link or self._open()
        if link is None:
            return False
        opcode, payload, correlation_id = ABNF.OPCODE_TEXT, None, None
        if isinstance(message, dict):
            data = payload = _encode(message)
            correlation_id = message.get(self.correlation_field)
        elif isinstance(message, str):
            data = message.encode()
        else:
            opcode, data = ABNF.OPCODE_BINARY, message
        error: OSError | None = None
        started = perf_counter()
        try:
            link.connection.write(opcode, data)
        except OSError as lost:
            error = lost
        except BaseException:
            detail = self._detail("send", correlation_id=correlation_id)
            interrupted(self, _REQUEST_TYPE, name, started, detail)
            raise
        status = None if error is None else _lost_by(error).code
        detail = self._detail("send", payload=payload, status=status, correlation_id=correlation_id)
        self._fire(name, started, perf_counter(), len(data), error, detail)
        return error is None

    def request(
        self, message: dict[str, Any], name: str, timeout_s: float | None = None
    ) -> dict[str, Any] | None:
        """Send *message* and return the reply with the same correlation id, or None if there was none.

        A missing correlation id is put into a copy of *message*. Several greenlets may have requests in
        flight at once.

        Raises:
            ValueError: A request with the same correlation id is in flight.
            RuntimeError: Called from `on_push`, whose greenlet would have to read the reply.
        """
        link = self._link or self._open()
        if link is None:
            return None
        if link.reader is getcurrent():
            raise RuntimeError("on_push cannot wait for a reply: spawn a greenlet for that")
        correlation_id = message.get(self.correlation_field)
        if correlation_id is None:
            correlation_id = new_id()
            message = {**message, self.correlation_field: correlation_id}
        elif correlation_id in link.flights:
            raise ValueError(f"correlation id {correlation_id!r} is already in flight")
        data = _encode(message)
        flight = link.flights[correlation_id] = Flight(name, correlation_id, self._hub)
        try:
            self._exchange(link, flight, data, self.reply_timeout_s if timeout_s is None else timeout_s)
        except BaseException as stop:
            self._stopped(link, flight, stop)
            raise
        return self._settle(link, flight)

    def close(self, code: int = NORMAL) -> bool:
        """Close the connection and wait for the server to do the same; tell whether it did."""
        link, self._link = self._link, None
        if link is None:
            return False
        link.close(code)
        if link.reader is getcurrent():
            return True
        link.reader.join(timeout=DRAIN_LIMIT_S)
        if not link.reader.dead:
            link.give_up()
        return not link.gave_up

    # To override

    def on_push(self, message: Any) -> None:
        """Receive a message that answers no request; runs in the greenlet that reads the connection."""

    def push_name(self, message: Any) -> str:
        """Return the name under which a push is recorded: its field ``type``, else ``push``."""
        kind = message.get("type") if isinstance(message, dict) else None
        return kind if isinstance(kind, str) and kind else "push"

    def decode(self, data: bytes) -> Any:
        """Return what a text message says; a ValueError makes it an error row. JSON by default."""
        return _decode(data)

    # Opening

    def start(self, group: Any) -> Any:
        """Start the user's greenlet, as Locust does, and see to what it leaves behind."""
        greenlet = super().start(group)
        greenlet.rawlink(self._ended)
        return greenlet

    def _open(self) -> Link | None:
        with self._opening:
            if self._is_over:
                raise GreenletExit
            if self._link is not None:
                return self._link
            link = self._opening_link
            if link is None:
                path = self._path if self._path.startswith("/") else f"/{self._path}"
                link = Link(f"{(self.host or '').rstrip('/')}{path}", self._name or path.partition("?")[0])
                self._opening_link = link
                self._live.append(link)
                link.reader = gevent.spawn(self._run, link)
            try:
                link.waiter.get()
            except BaseException as stop:
                self._connect_stopped(link, stop)
                raise
            self._settle_connect(link)
            if self._is_over:
                raise GreenletExit
            return self._link

    def _settle_connect(self, link: Link) -> None:
        if link.is_settled:
            return
        link.is_settled = True
        failure = link.failure
        detail = self._detail(
            "connect",
            status=101 if failure is None else getattr(failure, "status", None),
            outcome="timeout" if _is_timeout(failure) else None,
        )
        self._fire(link.name, link.started, link.opened, 0, failure, detail)

    def _connect_stopped(self, link: Link, stop: BaseException) -> None:
        """Settle a connect whose greenlet was told to stop; the handshake goes on without it."""
        if not link.opened and isinstance(stop, gevent.Timeout):
            link.opened, link.failure = perf_counter(), TimeoutError("gave up on the handshake")
        if link.opened:
            self._settle_connect(link)
        else:
            self._interrupt_connect(link)

    def _interrupt_connect(self, link: Link) -> None:
        if not link.is_settled:
            link.is_settled = True
            interrupted(self, _REQUEST_TYPE, link.name, link.started, self._detail("connect"))

    # Reading

    def _run(self, link: Link) -> None:
        """Shake hands, then read until the connection ends: the body of the link's own greenlet."""
        try:
            if self._shake_hands(link):
                self._read(link)
        finally:
            self._live.remove(link)

    def _shake_hands(self, link: Link) -> bool:
        failure: Exception | None = None
        try:
            link.connection.open(link.url, self.ws_headers, self.ws_subprotocols, self.connect_timeout_s)
        except (OSError, ValueError, websocket.WebSocketException) as error:
            failure = error
        finally:
            self._opening_link = None
        if not link.is_settled:
            link.failure, link.opened = failure, perf_counter()
        self._hub.loop.run_callback(link.waiter.switch, None)
        if failure is not None:
            return False
        if self._is_over:
            link.close(NORMAL)
        else:
            self._link = link
        return True

    def _read(self, link: Link) -> None:
        pinger = gevent.spawn(self._ping, link) if self.ping_interval_s > 0 else None
        closed = ConnectionClosedError(ABNORMAL)
        try:
            while True:
                opcode, data = link.connection.read()
                self._received(link, opcode, data)
        except ConnectionClosedError as end:
            closed = end
        finally:
            if pinger is not None:
                pinger.kill(block=False)
            link.connection.discard()
            self._lost(link, closed)

    def _received(self, link: Link, opcode: int, data: bytes) -> None:
        if opcode == ABNF.OPCODE_BINARY:
            self._pushed(link, data, data)
            return
        try:
            message = self.decode(data)
        except ValueError as error:
            self._pushed(link, data, None, error=_undecodable(data, error))
            return
        correlation_id = message.get(self.correlation_field) if isinstance(message, dict) else None
        if isinstance(correlation_id, (str, int)):
            flight = link.flights.pop(correlation_id, None)
            if flight is not None:
                flight.arrived = perf_counter()
                flight.reply = message
                flight.raw = data
                self._hub.loop.run_callback(flight.waiter.switch, None)
                return
            if correlation_id in link.abandoned:
                del link.abandoned[correlation_id]
                return
        self._pushed(link, data, message, payload=data, correlation_id=correlation_id)

    def _pushed(
        self,
        link: Link,
        data: bytes,
        message: Any,
        *,
        payload: bytes | None = None,
        correlation_id: Any = None,
        error: Exception | None = None,
    ) -> None:
        fire_aside(
            self,
            request_type=_REQUEST_TYPE,
            name="push" if error is not None else self.push_name(message),
            response_time=None,
            response_length=len(data),
            exception=error,
            context=self.context(),
            start_time=epoch_s(perf_counter()),
            streamlab=self._detail("push", direction="in", payload=payload, correlation_id=correlation_id),
        )
        if error is None and not self._is_over:
            self._call_hook(link, message)

    def _call_hook(self, link: Link, message: Any) -> None:
        link.in_hook = True
        try:
            self.on_push(message)
        except GreenletExit:
            # The user's end kills the hook, not the reading.
            if not self._is_over:
                raise
        except Exception as error:  # noqa: BLE001 - the user's code; reported as Locust reports a task's
            hook_failed(self, error)
        finally:
            link.in_hook = False

    def _ping(self, link: Link) -> None:
        try:
            while True:
                gevent.sleep(self.ping_interval_s)
                link.connection.write(ABNF.OPCODE_PING, b"")
        except OSError:
            pass  # the reader reports the end

    # Waiting and settling

    def _exchange(self, link: Link, flight: Flight, data: bytes, timeout_s: float) -> None:
        """Send the request and wait for its end: a reply, the loss of the connection, or the timeout."""
        try:
            link.connection.write(ABNF.OPCODE_TEXT, data)
        except OSError as error:
            if link.flights.pop(flight.correlation_id, None) is not None:
                flight.error, flight.arrived = _lost_by(error), perf_counter()
            return
        timer = self._hub.loop.timer(timeout_s)
        timer.start(flight.waiter.switch, None)
        try:
            flight.waiter.get()
        finally:
            timer.close()

    def _settle(self, link: Link, flight: Flight) -> dict[str, Any] | None:
        """Fire the request's row and return the reply."""
        correlation_id = flight.correlation_id
        if flight.raw is not None:
            detail = self._detail("request", payload=flight.raw, correlation_id=correlation_id)
            self._fire(flight.name, flight.started, flight.arrived, len(flight.raw), None, detail)
            reply: dict[str, Any] = flight.reply
            return reply
        if flight.error is not None:
            detail = self._detail("request", status=flight.error.code, correlation_id=correlation_id)
            self._fire(flight.name, flight.started, flight.arrived, 0, flight.error, detail)
        elif link.flights.pop(correlation_id, None) is not None:
            link.abandon(correlation_id)
            detail = self._detail("request", outcome="timeout", correlation_id=correlation_id)
            self._fire(
                flight.name, flight.started, perf_counter(), 0, TimeoutError("no reply in time"), detail
            )
        return None

    def _stopped(self, link: Link, flight: Flight, stop: BaseException) -> None:
        """Settle a request whose greenlet was told to stop; it may have been answered just before."""
        if flight.raw is not None or flight.error is not None or isinstance(stop, gevent.Timeout):
            self._settle(link, flight)
        elif link.flights.pop(flight.correlation_id, None) is not None:
            self._interrupt(link, flight)

    def _interrupt(self, link: Link, flight: Flight) -> None:
        link.abandon(flight.correlation_id)
        detail = self._detail("request", correlation_id=flight.correlation_id)
        interrupted(self, _REQUEST_TYPE, flight.name, flight.started, detail)

    # Ending

    def _lost(self, link: Link, closed: ConnectionClosedError) -> None:
        """Record how an established connection ended, and end what was in flight on it."""
        if self._link is link:
            self._link = None
        flights = list(link.flights.values())
        link.flights.clear()
        self._record_close(link, closed)
        for flight in flights:
            flight.error, flight.arrived = closed, perf_counter()
            self._hub.loop.run_callback(flight.waiter.switch, None)

    def _record_close(self, link: Link, closed: ConnectionClosedError) -> None:
        if link.gave_up and self._is_over:
            interrupted(self, _REQUEST_TYPE, link.name, link.closing, self._detail("close"))
            return
        error: Exception | None = None if link.closing else closed
        detail = self._detail("close", direction="out" if link.closing else "in", status=closed.code)
        if link.gave_up:
            error = TimeoutError("no close frame in time")
            detail = self._detail("close", outcome="timeout")
        now = perf_counter()
        fire_aside(
            self,
            request_type=_REQUEST_TYPE,
            name=link.name,
            response_time=(now - link.closing) * 1000.0 if link.closing else None,
            response_length=0,
            exception=error,
            context=self.context(),
            start_time=epoch_s(link.closing or now),
            streamlab=detail,
        )

    def _ended(self, _greenlet: object) -> None:
        """Settle what the user leaves behind; runs in the hub when its greenlet is dead, and cannot wait."""
        self._is_over = True
        self._link = None
        for link in tuple(self._live):
            if not link.opened:
                self._interrupt_connect(link)
            closers(self.environment).spawn(self._drain, link)
            flights = list(link.flights.values())
            link.flights.clear()
            for flight in flights:
                self._interrupt(link, flight)
            for flight in flights:
                flight.waiter.throw(GreenletExit)
            if link.in_hook:
                link.reader.throw(GreenletExit)

    def _drain(self, link: Link) -> None:
        """Say goodbye and let the link's greenlet read until the server has done so, too."""
        gevent.with_timeout(DRAIN_LIMIT_S, self._say_goodbye, link, timeout_value=None)
        if not link.reader.dead:
            link.give_up()

    def _say_goodbye(self, link: Link) -> None:
        if self._opening_link is not link:
            link.close(NORMAL)
        link.reader.join()

    # Rows

    def _detail(
        self,
        operation: str,
        *,
        direction: str = "out",
        payload: object = None,
        outcome: str | None = None,
        status: int | None = None,
        correlation_id: Any = None,
    ) -> Detail:
        if correlation_id is not None and type(correlation_id) is not str:
            correlation_id = str(correlation_id)
        user_class = self._user_class
        return Detail(
            "websocket",
            operation,
            direction,
            user_class,
            None,
            None,
            payload,
            outcome,
            status,
            correlation_id,
        )

    def _fire(
        self, name: str, started: float, ended: float, size: int, error: Exception | None, detail: Detail
    ) -> None:
        """Fire the request event in the user's greenlet."""
        self._request_hook.fire(
            request_type=_REQUEST_TYPE,
            name=name,
            response_time=(ended - started) * 1000.0,
            response_length=size,
            exception=error,
            context=self.context(),
            start_time=epoch_s(started),
            streamlab=detail,
        )


def _lost_by(error: OSError) -> ConnectionClosedError:
    """Return the end of the connection that *error* at a write tells of."""
    return (
        error
        if isinstance(error, ConnectionClosedError)
        else ConnectionClosedError(ABNORMAL, type(error).__name__)
    )


def _is_timeout(error: Exception | None) -> bool:
    return isinstance(error, (TimeoutError, websocket.WebSocketTimeoutException))


def _undecodable(data: bytes, error: ValueError) -> ValueError:
    """Return *error* without what the server sent: messages of decoders quote their input."""
    try:
        data.decode()
    except UnicodeDecodeError:
        return ValueError("message is not UTF-8")
    return ValueError(f"message is not JSON ({type(error).__name__})")
