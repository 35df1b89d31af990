"""A Locust user that speaks WebSocket: requests with matched replies, one-way sends, recorded pushes."""

from __future__ import annotations

from time import perf_counter
from typing import Any, ClassVar

import gevent
import msgspec
from gevent import GreenletExit
from gevent.lock import Semaphore
from greenlet import getcurrent
from locust import User
from websocket import ABNF

from streamlab_plugin.probe.address import harmless
from streamlab_plugin.scenario.injection import Faults
from streamlab_plugin.users import injector, websocket_faults
from streamlab_plugin.users.backoff import Backoff
from streamlab_plugin.users.channel import Channel, Hooks
from streamlab_plugin.users.closing import DRAIN_LIMIT_S, closers
from streamlab_plugin.users.connection import (
    ABNORMAL,
    NORMAL,
    REASON_LIMIT_BYTES,
    ConnectionClosedError,
    StalledError,
    Upgrade,
)
from streamlab_plugin.users.correlation import new_id
from streamlab_plugin.users.flight import Flight
from streamlab_plugin.users.id_path import finder, with_id
from streamlab_plugin.users.options import refuse
from streamlab_plugin.users.report import hook_failed
from streamlab_plugin.users.tls import Tls
from streamlab_plugin.users.websocket_rows import Rows

_AGAIN_S = 0.5

_encode = msgspec.json.encode
_decode = msgspec.json.decode


class WebSocketUser(User):
    """A user of a WebSocket API whose messages are JSON.

    Set `host` to a ``ws://`` or ``wss://`` URL and `ws_path` to the path (with query). Methods do not raise
    for what the server does: a failure is recorded, and the answer is ``None`` or ``False``.

    Raises:
        StopTest: `host` is no WebSocket URL, or `faults` no `Faults`.
    """

    abstract = True

    ws_path: str = "/"
    ws_headers: ClassVar[dict[str, str]] = {}
    ws_cookies: ClassVar[dict[str, str]] = {}
    ws_subprotocols: tuple[str, ...] = ()
    tls: Tls = Tls()
    connect_timeout_s: float = 10.0
    reply_timeout_s: float = 10.0
    ping_interval_s: float = 0.0  # 0: no pings of our own
    ping_timeout_s: float = 20.0
    reconnect_delay_s: float = 0.0  # bound of the first delay; it doubles with each failure
    reconnect_delay_most_s: float = 30.0
    keeps_connected: bool = False  # connect again by itself after a loss
    read_delay_s: float = 0.0  # a slow consumer: pause after each message
    correlation_field: str = "correlation_id"  # or a path: meta.id
    reply_correlation_field: str | None = None  # None: where the request has it
    faults: Faults | None = None

    def __init__(self, environment: Any) -> None:
        super().__init__(environment)
        try:
            _check(self, self.host)
        except ValueError as error:
            refuse(self, environment, error)
        self._hub = gevent.get_hub()
        self._rows = Rows(self)
        self._injector = injector.of(self)
        self._channel: Channel | None = None  # open
        self._opening_channel: Channel | None = None  # shaking hands
        self._live: list[Channel] = []  # all whose greenlet still runs
        self._opening = Semaphore(1)
        # By itself it never tries again at once: that would be a loop without end.
        first_s = self.reconnect_delay_s or (_AGAIN_S if self.keeps_connected else 0.0)
        self._backoff = Backoff(first_s, self.reconnect_delay_most_s)
        self._path = self.ws_path
        self._name: str | None = None
        self._is_over = False
        self._find_id = finder(self.correlation_field)
        self._hooks = Hooks(
            decode=self.decode,
            push_name=self.push_name,
            on_push=self.on_push,
            reply_id=finder(self.reply_correlation_field or self.correlation_field),
            failed=self._hook_failed,
            opened=self._opened,
            ended=self._lost,
            is_over=self._is_ending,
        )

    @classmethod
    def check_options(cls, host: str | None) -> list[str]:
        """Check what its users will have, with *host* as theirs; return a line for what has no effect.

        Raises:
            ValueError: Something cannot be used; the text begins with the attribute's name.
        """
        _check(cls, host)
        return injector.idle(cls.faults, "websocket")

    # For tasks

    def connect(self, path: str | None = None, name: str | None = None) -> bool:
        """Connect unless connected; tell whether there is a connection now.

        *path* defaults to `ws_path`, *name* to the path without its query. Sends connect by themselves, to
        the same place as last time.
        """
        self._path = self.ws_path if path is None else path
        self._name = name
        return (self._channel or self._open()) is not None

    @property
    def subprotocol(self) -> str | None:
        """The subprotocol that the server has chosen on the open connection."""
        return None if self._channel is None else self._channel.connection.subprotocol

    def send(self, message: dict[str, Any] | str | bytes, name: str) -> bool:
        """Send *message* and expect no reply; tell whether it was handed to the network.

        A ``dict`` is sent as JSON text, ``str`` as text, ``bytes`` as a binary message.
        """
        channel = self._channel or self._open()
        if channel is None:
            return False
        rows = self._rows
        opcode, payload, correlation_id = ABNF.OPCODE_TEXT, None, None
        if isinstance(message, dict):
            data = payload = _encode(message)
            correlation_id = self._find_id(message)
        elif isinstance(message, str):
            data = message.encode()
        else:
            opcode, data = ABNF.OPCODE_BINARY, message
        if self._injector is not None and (strike := self._injector.strike("send")) is not None:
            detail = rows.detail("send", payload=payload, correlation_id=correlation_id)
            return websocket_faults.send(self, strike, opcode, data, name, detail)
        error: OSError | None = None
        started = perf_counter()
        try:
            channel.connection.write_within(self.reply_timeout_s, opcode, data)
        except OSError as lost:
            error = lost
        except BaseException:
            rows.interrupted(name, started, rows.detail("send", correlation_id=correlation_id))
            raise
        is_stalled = isinstance(error, StalledError)
        detail = rows.detail(
            "send",
            payload=payload,
            outcome="timeout" if is_stalled else None,
            status=None if error is None or is_stalled else _lost_by(error).code,
            correlation_id=correlation_id,
        )
        rows.fire(name, started, perf_counter(), len(data), error, detail)
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
        strike = None if self._injector is None else self._injector.strike("request")
        channel = self._channel or self._open()
        if channel is None:
            return None
        if channel.reader is getcurrent():
            raise RuntimeError("on_push cannot wait for a reply: spawn a greenlet for that")
        correlation_id = self._find_id(message)
        if correlation_id is None:
            correlation_id = new_id()
            message = with_id(message, self.correlation_field, correlation_id)
        elif correlation_id in channel.flights:
            raise ValueError(f"correlation id {correlation_id!r} is already in flight")
        data = _encode(message)
        flight = channel.flights[correlation_id] = Flight(name, correlation_id, self._hub)
        if strike is not None:
            data = strike.body(data)
            flight.strike = strike if strike.has_struck else None
        try:
            self._exchange(channel, flight, data, self.reply_timeout_s if timeout_s is None else timeout_s)
        except BaseException as stop:
            self._stopped(channel, flight, stop)
            raise
        return self._settle(channel, flight)

    def close(self, code: int = NORMAL, reason: str = "") -> bool:
        """Close the connection and wait for the server to do the same; tell whether it did.

        Raises:
            ValueError: *reason* has more than 123 bytes.
        """
        if len(reason.encode()) > REASON_LIMIT_BYTES:
            raise ValueError(f"a close reason has at most {REASON_LIMIT_BYTES} bytes, got {reason!r}")
        channel, self._channel = self._channel, None
        if channel is None:
            return False
        channel.close(code, reason)
        if channel.reader is getcurrent():
            return True
        channel.reader.join(timeout=max(0.0, channel.closing + DRAIN_LIMIT_S - perf_counter()))
        if not channel.reader.dead:
            channel.give_up()
        return not channel.gave_up

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

    def _open(self) -> Channel | None:
        with self._opening:
            if self._is_over:
                raise GreenletExit
            if self._channel is not None:
                return self._channel
            channel = self._opening_channel or self._begin()
            try:
                channel.waiter.get()
            except BaseException as stop:
                self._connect_stopped(channel, stop)
                raise
            channel.settle()
            if self._is_over:
                raise GreenletExit
            return self._channel

    def _begin(self) -> Channel:
        began = perf_counter()
        if delay_s := self._backoff.delay_s():
            gevent.sleep(delay_s)
            if self._is_over:
                raise GreenletExit
        path = self._path if self._path.startswith("/") else f"/{self._path}"
        channel = Channel(
            f"{(self.host or '').rstrip('/')}{path}",
            self._name or path.partition("?")[0],
            rows=self._rows,
            hooks=self._hooks,
            ping_interval_s=self.ping_interval_s,
            ping_timeout_s=self.ping_timeout_s,
            read_delay_s=self.read_delay_s,
            wait_ms=(perf_counter() - began) * 1000.0 if delay_s else None,
            injector=self._injector,
        )
        self._opening_channel = channel
        self._live.append(channel)
        channel.reader = gevent.spawn(self._run, channel)
        return channel

    def _run(self, channel: Channel) -> None:
        """Open and read a connection: the body of its own greenlet."""
        upgrade = Upgrade(self.ws_headers, self.ws_cookies, self.ws_subprotocols, self.tls)
        try:
            channel.run(upgrade, self.connect_timeout_s)
        finally:
            self._live.remove(channel)
            if self._opening_channel is channel:
                self._opening_channel = None

    def _opened(self, channel: Channel) -> None:
        self._opening_channel = None
        if channel.failure is not None:
            self._backoff.failed()
        else:
            self._backoff.succeeded()
            if not self._is_over:
                self._channel = channel

    def _connect_stopped(self, channel: Channel, stop: BaseException) -> None:
        """Settle a connect whose greenlet was told to stop; the handshake goes on without it."""
        if not channel.opened and isinstance(stop, gevent.Timeout):
            channel.opened, channel.failure = perf_counter(), TimeoutError("gave up on the handshake")
        if channel.opened:
            channel.settle()
        else:
            channel.interrupt_connect()

    # Waiting and settling

    def _exchange(self, channel: Channel, flight: Flight, data: bytes, timeout_s: float) -> None:
        """Send the request and wait for its end: a reply, the loss of the connection, or the timeout."""
        timer = self._hub.loop.timer(timeout_s)
        try:
            if flight.strike is not None:
                websocket_faults.request(self, flight.strike, channel, flight, data)
            timer.start(_expire, flight.waiter, getcurrent())
            if flight.strike is None:
                channel.connection.write(ABNF.OPCODE_TEXT, data)
            flight.waiter.get()
        except StalledError:
            pass
        except OSError as error:
            if channel.flights.pop(flight.correlation_id, None) is not None:
                flight.error, flight.arrived = _lost_by(error), perf_counter()
        finally:
            timer.close()

    def _settle(self, channel: Channel, flight: Flight) -> dict[str, Any] | None:
        """Fire the request's row and return the reply."""
        if flight.raw is not None:
            self._rows.answered(flight)
            reply: dict[str, Any] = flight.reply
            return reply
        if flight.error is not None:
            self._rows.lost(flight, flight.error)
        elif channel.flights.pop(flight.correlation_id, None) is not None:
            channel.abandon(flight)
            self._rows.timed_out(flight)
        return None

    def _stopped(self, channel: Channel, flight: Flight, stop: BaseException) -> None:
        """Settle a request whose greenlet was told to stop; it may have been answered just before."""
        if flight.raw is not None or flight.error is not None or isinstance(stop, gevent.Timeout):
            self._settle(channel, flight)
        elif channel.flights.pop(flight.correlation_id, None) is not None:
            channel.interrupt(flight)

    # Ending

    def _is_ending(self) -> bool:
        return self._is_over

    def _hook_failed(self, error: Exception) -> None:
        hook_failed(self, error)

    def _lost(self, channel: Channel) -> None:
        """Take note that an open connection has ended."""
        if self._channel is channel:
            self._channel = None
        if not channel.closing and not self._is_over:
            self._backoff.failed()
            if self.keeps_connected:
                gevent.spawn(self._connect_again)

    def _connect_again(self) -> None:
        try:
            while not self._is_over and self._channel is None and self._open() is None:
                gevent.sleep(0)
        except GreenletExit:
            pass  # the user has ended

    def _ended(self, _greenlet: object) -> None:
        """Settle what the user leaves behind; runs in the hub when its greenlet is dead, and cannot wait."""
        self._is_over = True
        self._channel = None
        for channel in tuple(self._live):
            if not channel.opened:
                channel.interrupt_connect()
            closers(self.environment).spawn(self._drain, channel)
            flights = list(channel.flights.values())
            channel.flights.clear()
            for flight in flights:
                channel.interrupt(flight)
            for flight in flights:
                flight.waiter.throw(GreenletExit)
            if channel.in_hook:
                channel.reader.throw(GreenletExit)

    def _drain(self, channel: Channel) -> None:
        """Say goodbye and let the channel's greenlet read until the server has done so, too."""
        gevent.with_timeout(DRAIN_LIMIT_S, self._say_goodbye, channel, timeout_value=None)
        if not channel.reader.dead:
            channel.give_up()

    def _say_goodbye(self, channel: Channel) -> None:
        if self._opening_channel is not channel:
            channel.close(NORMAL)
        channel.reader.join()


def _expire(waiter: Any, greenlet: Any) -> None:
    """End the wait for a reply, or the sending of the request if it is not through with that."""
    if waiter.greenlet is None:
        greenlet.throw(StalledError)
    else:
        waiter.switch(None)


def _lost_by(error: OSError) -> ConnectionClosedError:
    """Return the end of the connection that *error* at a write tells of."""
    if isinstance(error, ConnectionClosedError):
        return error
    return ConnectionClosedError(ABNORMAL, type(error).__name__)


def _check(options: Any, host: str | None) -> None:
    """Check the attributes of a user, or of its class.

    Raises:
        ValueError: One of them cannot be used; the text begins with its name.
    """
    if not (host or "").startswith(("ws://", "wss://")):
        raise ValueError(f"host must be a ws:// or wss:// URL, got {harmless(host or '')!r}")
    injector.check(options.faults)
