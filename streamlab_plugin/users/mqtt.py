"""A Locust user that speaks MQTT 3.1.1 or 5: publishes timed to their acknowledgement, deliveries recorded.

Whoever takes an `Exchange` out of what is in flight reports it; hence each publish has exactly one row,
however it ends. Opening and ending are the connector's, rows that nobody waits for the teller's.
"""

from __future__ import annotations

import uuid
from time import perf_counter
from typing import Any

import gevent
from gevent import GreenletExit
from gevent.hub import Waiter
from locust import User

from streamlab_plugin.scenario.injection import Faults
from streamlab_plugin.users import injector, mqtt_faults
from streamlab_plugin.users.backoff import check_pauses
from streamlab_plugin.users.broker import Broker, broker_at
from streamlab_plugin.users.clock import now
from streamlab_plugin.users.delivery import stream_name
from streamlab_plugin.users.envelope import Read, Stamp, envelope
from streamlab_plugin.users.exchange import Exchange
from streamlab_plugin.users.mqtt_client import Login, MqttClient, Will
from streamlab_plugin.users.mqtt_connector import Connector
from streamlab_plugin.users.mqtt_error import FAILURE, ConnectionLostError
from streamlab_plugin.users.mqtt_rows import MqttRows
from streamlab_plugin.users.mqtt_teller import Teller
from streamlab_plugin.users.options import refuse
from streamlab_plugin.users.session import Session
from streamlab_plugin.users.tls import Tls

# The end of a test waits little longer for what is under way.
DRAIN_MOST_S = 1.5


class MqttUser(User):
    """A client of an MQTT broker.

    Set `host` to ``mqtt://name:port`` or ``mqtts://name:port``, or to ``ws://name:port/path`` or
    ``wss://name:port/path`` for MQTT over WebSocket. Methods do not raise for what the broker does: a failure
    is recorded, and the answer is ``False``.

    Raises:
        StopTest: `host` is no such URL, or another attribute cannot be used.
    """

    abstract = True

    client_id: str | None = None  # None: a unique one
    username: str | None = None
    password: str | None = None
    mqtt_version: int = 4  # 4 is 3.1.1, 5 is 5
    keepalive_s: int = 60
    connect_timeout_s: float = 10.0
    ack_timeout_s: float = 10.0
    keeps_connected: bool = True  # connect again by itself after a loss
    reconnect_delay_s: float = 0.5  # bound of the first delay; it doubles with each failure
    reconnect_delay_most_s: float = 5.0
    reconnect_jitter: float = 1.0  # share of a delay that is drawn at random
    clean_session: bool = True
    session_expiry_s: int = 0  # MQTT 5: how long the broker keeps a session after its connection has ended
    will: Will | None = None
    drain_s: float = 1.0  # a subscriber that has ended listens so long, unless nothing comes for 0.2 s
    envelope: str = "json"  # where publisher, number and time travel: json, user_properties (MQTT 5), binary
    tls: Tls = Tls()
    faults: Faults | None = None

    def __init__(self, environment: Any) -> None:
        super().__init__(environment)
        # The numbers of a stream begin anew with each user, also where its client id was used before.
        self._publisher = (
            uuid.uuid4().hex if self.client_id is None else f"{self.client_id}.{uuid.uuid4().hex[:8]}"
        )
        self.client_id = self.client_id or self._publisher
        try:
            self._broker, self._stamp, read = _settled(self, self.host)
        except ValueError as error:
            refuse(self, environment, error)
        self._hub = gevent.get_hub()
        self._injector = injector.of(self)
        self._rows = MqttRows(self)
        self._teller = Teller(self, self._rows, read)
        self._connector = Connector(self, self._client, self._rows, self._teller, self._on_open)
        self._subscriptions: dict[str, tuple[int, str]] = {}
        self._numbers: dict[str, int] = {}
        self._shared_group: str | None = None  # of a shared subscription

    @classmethod
    def check_options(cls, host: str | None) -> list[str]:
        """Check what its users will have, with *host* as theirs; return a line for what has no effect.

        Raises:
            ValueError: Something cannot be used; the text begins with the attribute's name.
        """
        _settled(cls, host)
        return injector.idle(cls.faults, "mqtt")

    # For tasks

    def connect(self) -> bool:
        """Connect unless connected; tell whether there is a session now.

        Publishing and subscribing connect by themselves. A lost connection is opened again, with its
        subscriptions, by itself; until then they wait for one attempt.
        """
        return (self._connector.session or self._connector.open()) is not None

    def publish(
        self,
        topic: str,
        payload: dict[str, Any] | bytes | str,
        qos: int = 0,
        name: str | None = None,
        wait: bool = True,
    ) -> bool:
        """Publish and wait for the acknowledgement; tell whether it succeeded.

        A ``dict`` is sent as JSON; with the default `envelope` it gets ``sent_at``, ``stream`` and
        ``stream_seq``. QoS 0 ends when it is written to the socket. With ``wait=False`` the row follows the
        acknowledgement, and the answer tells whether it was sent. At most 20 publishes with QoS 1 or 2 are in
        flight; the wait for a free place, or for a connection, is recorded as ``wait_ms``.

        Raises:
            ValueError: The topic has wildcards or the QoS is not 0, 1 or 2.
        """
        strike = None if self._injector is None else self._injector.strike("publish")
        name = name or topic
        session, waited_ms = self._place(qos, name)
        if session is None:
            return False
        number = self._numbers[topic] = self._numbers.get(topic, 0) + 1
        stamped = self._stamp(payload, stream_name(self._publisher, topic), number, now())
        extra: dict[str, Any] = {
            "payload": stamped.payload,
            "stream": stamped.stream,
            "stream_seq": stamped.stream_seq,
            "wait_ms": waited_ms,
        }
        exchange = Exchange("publish", name, extra, len(stamped.data), session.slots if qos else None)
        if strike is not None:
            return mqtt_faults.publish(self, strike, session, exchange, topic, stamped, qos, wait=wait)
        try:
            session.publish(exchange, topic, stamped.data, qos, stamped.properties)
        except ValueError:
            exchange.release()
            raise
        return self._finished(session, exchange, wait)

    def subscribe(self, topic: str, qos: int = 0, name: str | None = None) -> bool:
        """Subscribe and wait for the acknowledgement; tell whether the broker agreed.

        Raises:
            ValueError: The topic or the QoS is not valid.
        """
        session = self._connector.session or self._connector.open()
        if session is None:
            return False
        self._subscriptions[topic] = qos, name or topic
        if topic.startswith("$share/"):
            self._shared_group = "/".join(topic.split("/", 2)[:2])
        return self._subscribe(session, topic)

    def close(self) -> bool:
        """Disconnect: wait for acknowledgements and for the broker's end; tell whether it came."""
        return self._connector.close()

    # To override

    def on_message(self, topic: str, payload: Any) -> None:
        """Receive a delivery: *payload* is the decoded JSON, else the bytes. Not in the user's greenlet."""

    @property
    def listens(self) -> bool:
        """Return whether messages may come."""
        return bool(self._subscriptions)

    @property
    def subscriber(self) -> str:
        """Return who gets this user's deliveries: itself, or the group of its shared subscription."""
        return self._shared_group or self._publisher

    # Life

    def start(self, group: Any) -> Any:
        """Start the user's greenlet, as Locust does, and see to what it leaves behind."""
        greenlet = super().start(group)
        greenlet.rawlink(lambda _greenlet: self._connector.leave())
        return greenlet

    def _client(self) -> MqttClient:
        return MqttClient(self._broker, Login.of(self), self.connect_timeout_s)

    def _on_open(self, session: Session) -> None:
        if not session.is_resumed:
            for topic in self._subscriptions:
                self._subscribe(session, topic)

    # Sending

    def _place(self, qos: int, name: str) -> tuple[Session | None, float | None]:
        """Return an open session with, for QoS 1 and 2, a place in flight, and the wait for the place (ms).

        The session is None where there is none to be had; then the publish has its row.
        """
        session = self._connector.session
        if session is not None and (qos == 0 or session.slots.acquire(blocking=False)):
            return session, None
        begun = perf_counter()
        try:
            session = self._free_session(qos)
        except BaseException:
            self._rows.publish_interrupted(name, begun)
            raise
        waited_ms = (perf_counter() - begun) * 1000.0
        if session is None:
            exchange = Exchange("publish", name, {"wait_ms": waited_ms})
            exchange.end(FAILURE, ConnectionLostError("not sent"))
            self._rows.exchange(exchange)
        return session, waited_ms

    def _free_session(self, qos: int) -> Session | None:
        while True:
            session = self._connector.session or self._connector.open()
            if session is None or qos == 0:
                return session
            session.slots.acquire()
            if self._teller.is_over:
                raise GreenletExit
            if session.is_open and session is self._connector.session:
                return session
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
            self._rows.exchange(exchange)
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
                exchange.release()
                self._rows.exchange_interrupted(exchange)
                return
            exchange.end(None, TimeoutError("gave up on the acknowledgement"))
        if exchange.is_done:
            self._rows.exchange(exchange)


def _settled(options: Any, host: str | None) -> tuple[Broker, Stamp, Read]:
    """Return what the attributes of a user, or of its class, make together.

    Raises:
        ValueError: One of them cannot be used; the text begins with its name.
    """
    Login.of(options)
    check_pauses(options.reconnect_delay_s, options.reconnect_delay_most_s, options.reconnect_jitter)
    if not 0 <= options.drain_s <= DRAIN_MOST_S:
        raise ValueError(f"drain_s must be from 0 to {DRAIN_MOST_S:g}, got {options.drain_s!r}")
    injector.check(options.faults)
    return broker_at(host or "", options.tls), *envelope(options.envelope, options.mqtt_version)
