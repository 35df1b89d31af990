"""A Locust user that speaks MQTT 3.1.1 or 5: publishes timed to their acknowledgement, deliveries recorded.

Whoever takes an `Exchange` out of what is in flight reports it; hence each publish has exactly one row,
however it ends. Rows that nobody waits for (deliveries, `wait=False`, the loss of the connection) are fired
by a greenlet that exists only while there are any.
"""

from __future__ import annotations

import uuid
from functools import partial
from time import perf_counter
from typing import Any
from urllib.parse import urlsplit

import gevent
from gevent import GreenletExit
from gevent.hub import Waiter
from gevent.lock import Semaphore
from greenlet import getcurrent
from locust import User
from locust.exception import StopTest

from streamlab_plugin.core.record import Detail
from streamlab_plugin.users import ticker
from streamlab_plugin.users.clock import epoch_s, now
from streamlab_plugin.users.closing import DRAIN_LIMIT_S, closers
from streamlab_plugin.users.delivery import Delivery, read, stamp, stream_name
from streamlab_plugin.users.exchange import Exchange, MqttError
from streamlab_plugin.users.report import fire_aside, hook_failed, interrupted
from streamlab_plugin.users.session import Session

_REQUEST_TYPE = "MQTT"
_DELIVERY_TYPE = "MQTT-IN"  # so that Locust's table keeps publishing and delivery on one topic apart
_POLL_S = 0.01
_AFTER_ABORT_S = 0.3
_PORTS = {"mqtt": 1883, "mqtts": 8883}


class MqttUser(User):
    """A client of an MQTT broker.

    Set `host` to ``mqtt://name:port`` or ``mqtts://name:port``. Methods do not raise for what the broker
    does: a failure is recorded, and the answer is ``False``.

    Raises:
        StopTest: `host` is no MQTT URL.
    """

    abstract = True

    client_id: str | None = None  # None: a unique one
    username: str | None = None
    password: str | None = None
    mqtt_version: int = 4  # 4 is 3.1.1, 5 is 5
    keepalive_s: int = 60
    connect_timeout_s: float = 10.0
    ack_timeout_s: float = 10.0
    clean_session: bool = True

    def __init__(self, environment: Any) -> None:
        super().__init__(environment)
        url = urlsplit(self.host or "")
        if url.scheme not in _PORTS or not url.hostname:
            raise StopTest(f"{type(self).__name__}.host must be a mqtt:// or mqtts:// URL, got {self.host!r}")
        self._address = url.hostname, url.port or _PORTS[url.scheme]
        self._is_tls = url.scheme == "mqtts"
        self.client_id = self.client_id or uuid.uuid4().hex
        self._user_class = type(self).__name__
        self._hub = gevent.get_hub()
        self._request_hook = environment.events.request
        self._session: Session | None = None  # open
        self._opening_session: Session | None = None  # waiting for CONNACK
        self._opening = Semaphore(1)
        self._live: list[Session] = []  # all whose end has not been told
        self._subscriptions: dict[str, tuple[int, str]] = {}
        self._numbers: dict[str, int] = {}
        self._teller: gevent.Greenlet[..., None] | None = None
        self._in_hook = False
        self._is_over = False

    # For tasks

    def connect(self) -> bool:
        """Connect unless connected; tell whether there is a session now.

        Publishing and subscribing connect by themselves, also after a loss; then subscriptions are renewed.
        """
        return (self._session or self._open()) is not None

    def publish(
        self,
        topic: str,
        payload: dict[str, Any] | bytes | str,
        qos: int = 0,
        name: str | None = None,
        wait: bool = True,
    ) -> bool:
        """Publish and wait for the acknowledgement; tell whether it succeeded.

        A ``dict`` is sent as JSON with ``sent_at``, ``stream`` and ``stream_seq`` added. QoS 0 ends when it
        is written to the socket. With ``wait=False`` the row follows the acknowledgement, and the answer
        tells whether it was sent. At most 20 publishes with QoS 1 or 2 are in flight; the wait for a free
        place is recorded as ``wait_ms``.

        Raises:
            ValueError: The topic has wildcards or the QoS is not 0, 1 or 2.
        """
        name = name or topic
        session, waited_ms = self._place(qos, name)
        if session is None:
            return False
        number = self._numbers[topic] = self._numbers.get(topic, 0) + 1
        stamped = stamp(payload, stream_name(self.client_id or "", topic), number, now())
        extra: dict[str, Any] = {
            "payload": stamped.payload,
            "stream": stamped.stream,
            "stream_seq": stamped.stream_seq,
            "wait_ms": waited_ms,
        }
        exchange = Exchange("publish", name, extra, len(stamped.data), session.slots if qos else None)
        try:
            session.publish(exchange, topic, stamped.data, qos)
        except ValueError:
            exchange.release()
            raise
        return self._finished(session, exchange, wait)

    def subscribe(self, topic: str, qos: int = 0, name: str | None = None) -> bool:
        """Subscribe and wait for the acknowledgement; tell whether the broker agreed.

        Raises:
            ValueError: The topic or the QoS is not valid.
        """
        session = self._session or self._open()
        if session is None:
            return False
        self._subscriptions[topic] = qos, name or topic
        return self._subscribe(session, topic)

    def close(self) -> bool:
        """Disconnect: wait for acknowledgements and for the broker's end; tell whether it came."""
        session, self._session = self._session, None
        if session is None:
            return False
        gevent.with_timeout(DRAIN_LIMIT_S, _until_idle, session, timeout_value=None)
        session.close()
        gevent.with_timeout(DRAIN_LIMIT_S, session.over.wait, timeout_value=None)
        self._see_off(session)
        return not session.gave_up

    # To override

    def on_message(self, topic: str, payload: Any) -> None:
        """Receive a delivery: *payload* is the decoded JSON, else the bytes. Not in the user's greenlet."""

    # Opening

    def start(self, group: Any) -> Any:
        """Start the user's greenlet, as Locust does, and see to what it leaves behind."""
        greenlet = super().start(group)
        greenlet.rawlink(self._ended)
        return greenlet

    def _open(self) -> Session | None:
        with self._opening:
            if self._is_over:
                raise GreenletExit
            if self._session is not None:
                return self._session
            session = self._opening_session or self._begin()
            timer = self._hub.loop.timer(self.connect_timeout_s)
            timer.start(session.waiter.switch, None)
            try:
                session.waiter.get()
            except BaseException as stop:
                self._connect_stopped(session, stop)
                raise
            finally:
                timer.close()
            if not session.opened:
                session.fail(TimeoutError("no CONNACK in time"))
            self._opening_session = None
            self._settle_connect(session)
            if self._is_over:
                raise GreenletExit
            if not session.is_open:
                return None
            self._session = session
            if self.clean_session:
                for topic in self._subscriptions:
                    self._subscribe(session, topic)
            return self._session

    def _begin(self) -> Session:
        session = Session(
            {
                "client_id": self.client_id,
                "version": self.mqtt_version,
                "clean_session": self.clean_session,
                "username": self.username,
                "password": self.password,
            },
            self._on_news,
        )
        self._opening_session = session
        self._live.append(session)
        gevent.spawn(self._call, session)
        ticker.of(self.environment).add(partial(self._tick, session))
        return session

    def _call(self, session: Session) -> None:
        """Reach the broker: the body of a greenlet that ends when CONNECT is sent."""
        host, port = self._address
        try:
            session.open(
                host,
                port,
                is_tls=self._is_tls,
                keepalive_s=self.keepalive_s,
                timeout_s=self.connect_timeout_s,
            )
        except (OSError, ValueError) as failure:
            session.fail(failure)

    def _tick(self, session: Session, now_s: float) -> bool:
        if session.over.is_set():
            return False
        session.tick(now_s, self.ack_timeout_s)
        return True

    def _settle_connect(self, session: Session) -> None:
        failure = session.failure
        if failure is not None and session in self._live:
            self._live.remove(session)
        if session.is_settled:
            return
        session.is_settled = True
        detail = self._detail(
            "connect",
            status=0 if failure is None else getattr(failure, "status", None),
            outcome="timeout" if isinstance(failure, TimeoutError) else None,
        )
        self._fire("connect", session.started, session.opened, 0, failure, detail)

    def _connect_stopped(self, session: Session, stop: BaseException) -> None:
        """Settle a connect whose greenlet was told to stop; CONNACK may have come just before."""
        if not session.opened and isinstance(stop, gevent.Timeout):
            session.fail(TimeoutError("gave up on CONNACK"))
        if session.opened:
            self._opening_session = None
            self._settle_connect(session)
            if session.is_open and not self._is_over:
                self._session = session
        else:
            self._interrupt_connect(session)

    def _interrupt_connect(self, session: Session) -> None:
        if not session.is_settled:
            session.is_settled = True
            interrupted(self, _REQUEST_TYPE, "connect", session.started, self._detail("connect"))

    # Sending

    def _place(self, qos: int, name: str) -> tuple[Session | None, float | None]:
        """Return an open session with, for QoS 1 and 2, a place in flight, and the wait for the place (ms).

        The session is None where there is none to be had.
        """
        while True:
            session = self._session or self._open()
            if session is None or qos == 0 or session.slots.acquire(blocking=False):
                return session, None
            begun = perf_counter()
            try:
                session.slots.acquire()
                if self._is_over:
                    raise GreenletExit
            except BaseException:
                interrupted(self, _REQUEST_TYPE, name, begun, self._detail("publish"))
                raise
            if session.is_open and session is self._session:
                return session, (perf_counter() - begun) * 1000.0
            session.slots.release()

    def _subscribe(self, session: Session, topic: str) -> bool:
        qos, name = self._subscriptions[topic]
        exchange = Exchange("subscribe", name)
        session.subscribe(exchange, topic, qos)
        return self._finished(session, exchange, True)

    def _finished(self, session: Session, exchange: Exchange, wait: bool) -> bool:
        """Wait for the end of *exchange* if it is to be waited for, and fire its row."""
        if not exchange.is_done:
            if not wait:
                return True
            self._await(session, exchange)
        if exchange.is_done:
            self._fire_exchange(exchange)
        return exchange.is_done and exchange.error is None

    def _await(self, session: Session, exchange: Exchange) -> None:
        waiter = exchange.waiter = Waiter(self._hub)
        timer = self._hub.loop.timer(self.ack_timeout_s)
        timer.start(waiter.switch, None)
        try:
            waiter.get()
        except BaseException as stop:
            self._stopped(session, exchange, stop)
            raise
        finally:
            timer.close()
        if not exchange.is_done and session.forget(exchange):
            exchange.end(None, TimeoutError("no acknowledgement in time"))

    def _stopped(self, session: Session, exchange: Exchange, stop: BaseException) -> None:
        """Settle an exchange whose greenlet was told to stop; it may have been acknowledged just before."""
        if not exchange.is_done and session.forget(exchange):
            if not isinstance(stop, gevent.Timeout):
                self._interrupt(exchange)
                return
            exchange.end(None, TimeoutError("gave up on the acknowledgement"))
        if exchange.is_done:
            self._fire_exchange(exchange)

    def _interrupt(self, exchange: Exchange) -> None:
        exchange.release()
        detail = self._detail(exchange.operation, **exchange.extra)
        interrupted(self, _REQUEST_TYPE, exchange.name, exchange.started, detail)

    # Telling: rows that no greenlet of the user's waits for

    def _on_news(self, session: Session) -> None:
        """See to it that somebody tells the news; runs in the hub or in a sending greenlet."""
        if session.end is not None and self._session is session:
            self._session = None
        if self._teller is None:
            self._teller = gevent.spawn(self._tell)

    def _tell(self) -> None:
        try:
            while session := next((each for each in self._live if each.has_news), None):
                self._tell_of(session)
        finally:
            self._teller = None

    def _tell_of(self, session: Session) -> None:
        while session.finished:
            self._fire_exchange(session.finished.popleft(), is_aside=True)
        while session.deliveries:
            message, arrived = session.deliveries.popleft()
            try:
                topic = message.topic
            except UnicodeDecodeError:
                topic = "(not UTF-8)"
            self._delivered(read(topic, bytes(message.payload), arrived, is_retained=message.retain))
        if session.end is not None and not session.finished:
            self._live.remove(session)
            self._record_close(session, session.end)

    def _delivered(self, delivery: Delivery) -> None:
        fire_aside(
            self,
            request_type=_DELIVERY_TYPE,
            name=delivery.topic,
            response_time=delivery.latency_ms,
            response_length=delivery.size,
            exception=None,
            context=self.context(),
            start_time=delivery.arrived_at if delivery.sent_at is None else delivery.sent_at,
            streamlab=self._detail(
                "deliver",
                direction="in",
                payload=delivery.payload,
                stream=delivery.stream,
                stream_seq=delivery.stream_seq,
            ),
        )
        if not self._is_over:
            self._call_hook(delivery)

    def _call_hook(self, delivery: Delivery) -> None:
        self._in_hook = True
        try:
            self.on_message(delivery.topic, delivery.message)
        except GreenletExit:
            # The user's end kills the hook, not the telling.
            if not self._is_over:
                raise
        except Exception as error:  # noqa: BLE001 - the user's code; reported as Locust reports a task's
            hook_failed(self, error)
        finally:
            self._in_hook = False

    # Ending

    def _record_close(self, session: Session, end: MqttError) -> None:
        closing = session.closing
        if session.gave_up and self._is_over:
            interrupted(self, _REQUEST_TYPE, "close", closing, self._detail("close"))
            return
        error: Exception | None = None if closing else end
        detail = self._detail(
            "close", direction="out" if closing else "in", status=0 if closing else end.status
        )
        if session.gave_up:
            error = TimeoutError("the broker did not close in time")
            detail = self._detail("close", outcome="timeout")
        ended = perf_counter()
        fire_aside(
            self,
            request_type=_REQUEST_TYPE,
            name="close",
            response_time=(ended - closing) * 1000.0 if closing else None,
            response_length=0,
            exception=error,
            context=self.context(),
            start_time=epoch_s(closing or ended),
            streamlab=detail,
        )

    def _ended(self, _greenlet: object) -> None:
        """Settle what the user leaves behind; runs in the hub when its greenlet is dead, and cannot wait."""
        self._is_over = True
        self._session = None
        for session in tuple(self._live):
            if not session.opened:
                self._interrupt_connect(session)
            closers(self.environment).spawn(self._drain, session)
            exchanges = session.take_all()
            for exchange in exchanges:
                self._interrupt(exchange)
            for exchange in exchanges:
                if exchange.waiter is not None:
                    exchange.waiter.throw(GreenletExit)
        if self._in_hook and self._teller is not None:
            self._teller.throw(GreenletExit)

    def _drain(self, session: Session) -> None:
        """Say goodbye and record what the broker sends until it has closed the connection."""
        gevent.with_timeout(DRAIN_LIMIT_S, _say_goodbye, session, timeout_value=None)
        self._see_off(session)

    def _see_off(self, session: Session) -> None:
        """Wait until the end of *session* is told; a broker that has not closed by now is left."""
        if not session.over.is_set():
            session.gave_up = True
            session.fail(TimeoutError("left while connecting"))
            session.over.wait(_AFTER_ABORT_S)
        teller = self._teller
        if teller is not None and teller is not getcurrent():
            teller.join()

    # Rows

    def _detail(self, operation: str, direction: str = "out", **fields: Any) -> Detail:
        return Detail("mqtt", operation, direction, self._user_class, **fields)

    def _fire_exchange(self, exchange: Exchange, *, is_aside: bool = False) -> None:
        error = exchange.error
        outcome = "timeout" if isinstance(error, TimeoutError) else None
        detail = self._detail(exchange.operation, outcome=outcome, status=exchange.status, **exchange.extra)
        size = exchange.size_bytes
        self._fire(exchange.name, exchange.started, exchange.ended, size, error, detail, is_aside=is_aside)

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
            "context": self.context(),
            "start_time": epoch_s(started),
            "streamlab": detail,
        }
        if is_aside:
            fire_aside(self, **event)
        else:
            self._request_hook.fire(**event)


def _until_idle(session: Session) -> None:
    while session.exchanges and not session.over.is_set():
        gevent.sleep(_POLL_S)


def _say_goodbye(session: Session) -> None:
    while not session.opened:
        gevent.sleep(_POLL_S)
    if session.is_open:
        session.close()
    session.over.wait()
