"""One MQTT session on gevent's loop: paho does the protocol, this module does the waiting.

No thread, no `select`, no extra descriptor and no greenlet per client: a read watcher lets paho read in the
hub, a write watcher is started only while the socket is full, and one ticker per environment keeps all
sessions alive. Nothing here blocks except `Session.open`. Knows nothing of Locust.
"""

from __future__ import annotations

import socket
import ssl
from collections import deque
from collections.abc import Callable
from functools import lru_cache
from time import perf_counter
from typing import Any

import gevent
from gevent.event import Event
from gevent.hub import Waiter
from gevent.lock import Semaphore
from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion

from streamlab_plugin.users.exchange import FAILURE, Exchange, MqttError
from streamlab_plugin.users.mqtt_client import MqttClient

_READ, _WRITE = 1, 2
# Publishes in flight at once: what paho would allow, and less if the broker says so.
_IN_FLIGHT = 20


@lru_cache(maxsize=1)
def _tls_context() -> ssl.SSLContext:
    return ssl.create_default_context()


class Session:
    """A connection to a broker, from CONNECT to the end of the socket.

    Args:
        client: How to introduce ourselves: ``client_id``, ``version``, ``clean_session``, ``username``,
            ``password``.
        on_news: Called, in the hub or in a sending greenlet, when `news` should be fetched; must not block.
    """

    def __init__(self, client: dict[str, Any], on_news: Callable[[Session], None]) -> None:
        is_v5 = client["version"] == 5
        self._is_clean = client["clean_session"]
        self._paho = MqttClient(
            CallbackAPIVersion.VERSION2,
            client_id=client["client_id"],
            protocol=paho.MQTTv5 if is_v5 else paho.MQTTv311,
            clean_session=None if is_v5 else self._is_clean,
            reconnect_on_failure=False,
        )
        self._is_v5 = is_v5
        if client["username"] is not None:
            self._paho.username_pw_set(client["username"], client["password"])
        self._paho.max_inflight_messages_set(0)  # `slots` limits instead: its wait is measured
        self._paho.on_connect = self._on_connect
        self._paho.on_disconnect = self._on_disconnect
        self._paho.on_publish = self._on_publish
        self._paho.on_subscribe = self._on_subscribe
        self._paho.on_message = self._on_message
        self._paho.on_socket_close = self._on_socket_close
        self._on_news = on_news
        self._loop = gevent.get_hub().loop
        self._reader: Any = None
        self._writer: Any = None
        self._publishing: Exchange | None = None
        self._woken: list[Any] = []
        self.slots = Semaphore(_IN_FLIGHT)
        self.started = perf_counter()
        self.opened = 0.0  # when CONNACK came, or the attempt failed; 0 before
        self.is_open = False
        self.failure: Exception | None = None
        self.end: MqttError | None = None  # how an open session ended
        self.closing = 0.0  # when we said goodbye; 0 before
        self.gave_up = False
        self.is_settled = False  # whether the connect has its row
        self.waiter: Any = Waiter()
        self.over = Event()
        self.exchanges: dict[int, Exchange] = {}
        self.finished: deque[Exchange] = deque()  # ended, with nobody waiting
        self.deliveries: deque[tuple[paho.MQTTMessage, float]] = deque()

    # Opening and closing

    def open(self, host: str, port: int, *, is_tls: bool, keepalive_s: int, timeout_s: float) -> None:
        """Connect and send CONNECT; the rest comes through the loop. Blocks for TCP and TLS only.

        Raises:
            OSError: The broker cannot be reached.
        """
        if is_tls:
            self._paho.tls_set_context(_tls_context())
        self._paho.connect_timeout = timeout_s
        if self._is_v5:
            self._paho.connect_async(host, port, keepalive_s, clean_start=self._is_clean)
        else:
            self._paho.connect_async(host, port, keepalive_s)
        self._paho.reconnect()
        sock: Any = self._paho.socket()
        if sock is None:
            raise MqttError("connection lost before CONNACK", FAILURE)
        # paho leaves Nagle's algorithm on: a second small packet would wait 40 ms for the first one's ACK.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._reader = self._loop.io(sock.fileno(), _READ)
        self._writer = self._loop.io(sock.fileno(), _WRITE)
        self._reader.start(self._readable)
        self._written()
        if self.opened:
            self.abort()

    def fail(self, failure: Exception) -> None:
        """Give up an attempt to open."""
        if not self.opened:
            self.opened, self.failure = perf_counter(), failure
            self.over.set()
            self._woken.append(self.waiter)
            self._wake_soon()
        self.abort()

    def close(self) -> None:
        """Say goodbye; deliveries go on until the broker closes the connection."""
        if not self.closing:
            self.closing = perf_counter()
            self._paho.say_goodbye()
            self._written()

    def abort(self) -> None:
        """Shut the socket down; the loop then sees the end."""
        sock: Any = self._paho.socket()
        if sock is not None:
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    # Sending. Each call is atomic: nothing in it gives way to another greenlet.

    def publish(self, exchange: Exchange, topic: str, data: bytes, qos: int) -> None:
        """Send a PUBLISH; *exchange* ends now (QoS 0) or with its acknowledgement.

        Raises:
            ValueError: The topic or the QoS is not valid.
        """
        # With QoS 0 paho reports the end before it returns the message id.
        self._publishing = exchange
        try:
            info = self._paho.publish(topic, data, qos)
        finally:
            self._publishing = None
        self._sent(exchange, info.mid, info.rc)

    def subscribe(self, exchange: Exchange, topic: str, qos: int) -> None:
        """Send a SUBSCRIBE; *exchange* ends with its acknowledgement.

        Raises:
            ValueError: The topic or the QoS is not valid.
        """
        status, mid = self._paho.subscribe(topic, qos)
        self._sent(exchange, mid or 0, status)

    def _sent(self, exchange: Exchange, mid: int, status: int) -> None:
        if not exchange.is_done:
            if status == paho.MQTT_ERR_SUCCESS:
                exchange.mid = mid
                self.exchanges[mid] = exchange
            else:
                exchange.end(FAILURE, self.end or MqttError(paho.error_string(status), FAILURE))
        self._written()

    def forget(self, exchange: Exchange) -> bool:
        """Take *exchange* out of what is in flight; tell whether it was."""
        if self.exchanges.get(exchange.mid) is not exchange:
            return False
        del self.exchanges[exchange.mid]
        return True

    def take_all(self) -> list[Exchange]:
        """Take out and return all that is in flight."""
        taken = list(self.exchanges.values())
        self.exchanges.clear()
        return taken

    # The loop

    def tick(self, now: float, ack_timeout_s: float) -> None:
        """Keep the session alive and end what nobody waits for; once a second."""
        self._paho.loop_misc()
        late = [each for each in self.exchanges.values() if each.waiter is None]
        for exchange in late:
            if now - exchange.started > ack_timeout_s and self.forget(exchange):
                exchange.end(None, TimeoutError("no acknowledgement in time"))
                self.finished.append(exchange)
        self._written()

    def _readable(self) -> None:
        client = self._paho
        try:
            client.loop_read()
            while client.has_more:
                client.loop_read()
        except Exception:  # noqa: BLE001 - a packet that paho cannot parse must not kill the hub's callback
            self.abort()
            self._reader_failed()
        self._watch_writes()
        self._tell()  # first: who is woken must not find a lost session
        woken, self._woken = self._woken, []
        for waiter in woken:
            waiter.switch(None)  # this is the hub

    def _reader_failed(self) -> None:
        if self.end is None:
            self._ended(MqttError("malformed packet", 0x81))

    def _writable(self) -> None:
        self._paho.loop_write()
        self._written()

    def _written(self) -> None:
        """See to what a write by paho has led to; in any greenlet."""
        self._watch_writes()
        self._tell()
        self._wake_soon()

    def _watch_writes(self) -> None:
        writer = self._writer
        if writer is None:
            return
        if not self._paho.want_write():
            if writer.active:
                writer.stop()
        elif not writer.active:
            writer.start(self._writable)

    def _wake_soon(self) -> None:
        if self._woken:
            woken, self._woken = self._woken, []
            for waiter in woken:
                self._loop.run_callback(waiter.switch, None)

    @property
    def has_news(self) -> bool:
        """Whether something waits to be told: `finished`, `deliveries`, `end`."""
        return bool(self.finished or self.deliveries or self.end is not None)

    def _tell(self) -> None:
        if self.finished or self.deliveries or self.end is not None:
            self._on_news(self)

    # What paho calls; it holds locks meanwhile, so nothing here may call back or give way

    def _on_connect(self, _client: Any, _data: Any, _flags: Any, reason: Any, properties: Any) -> None:
        if self.opened:
            self.abort()  # too late: nobody waits for it any more
            return
        self.opened = perf_counter()
        if reason.is_failure:
            self.failure = MqttError(f"connect refused: {reason}", reason.value)
        else:
            self.is_open = True
            limit = getattr(properties, "ReceiveMaximum", _IN_FLIGHT)
            if limit < _IN_FLIGHT:
                self.slots = Semaphore(limit)
        self._woken.append(self.waiter)

    def _on_disconnect(self, client: Any, _data: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        if not self.is_open:
            if not self.opened:
                self.opened = perf_counter()
                self.failure = MqttError(f"connection lost before CONNACK: {reason}", reason.value)
                self._woken.append(self.waiter)
            self.over.set()
            return
        now = perf_counter()
        self.deliveries.extend((message, now) for message in client.unreleased())
        self._ended(MqttError(f"disconnected: {reason}", reason.value))

    def _ended(self, end: MqttError) -> None:
        self.end = end
        self.is_open = False
        for exchange in self.take_all():
            self._finish(exchange, end.status, end)
        if self._publishing is not None and not self._publishing.is_done:
            self._publishing.end(end.status, end)
        self.over.set()

    def _on_socket_close(self, _client: Any, _data: Any, _sock: Any) -> None:
        for watcher in (self._reader, self._writer):
            if watcher is not None:
                watcher.stop()
                watcher.close()
        self._reader = self._writer = None

    def _on_publish(self, _client: Any, _data: Any, mid: int, reason: Any, _properties: Any) -> None:
        exchange = self.exchanges.pop(mid, None)
        error = MqttError(f"publish refused: {reason}", reason.value) if reason.value >= FAILURE else None
        if exchange is not None:
            self._finish(exchange, reason.value, error)
        elif self._publishing is not None:
            self._publishing.end(reason.value, error)

    def _on_subscribe(self, _client: Any, _data: Any, mid: int, reasons: Any, _properties: Any) -> None:
        exchange = self.exchanges.pop(mid, None)
        if exchange is None:
            return
        worst = max(reasons, key=lambda reason: int(reason.value))
        is_refused = worst.value >= FAILURE
        error = MqttError(f"subscribe refused: {worst}", worst.value) if is_refused else None
        self._finish(exchange, worst.value, error)

    def _on_message(self, _client: Any, _data: Any, message: paho.MQTTMessage) -> None:
        self.deliveries.append((message, perf_counter()))

    def _finish(self, exchange: Exchange, status: int, error: Exception | None) -> None:
        exchange.end(status, error)
        if exchange.waiter is not None:
            self._woken.append(exchange.waiter)
        else:
            self.finished.append(exchange)
