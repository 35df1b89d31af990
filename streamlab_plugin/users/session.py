"""One MQTT session on gevent's loop: paho does the protocol, this module does the waiting.

No thread, no `select`, no extra descriptor and no greenlet per client: a read watcher lets paho read in the
hub, a write watcher is started only while the socket is full, and one ticker per environment keeps all
sessions alive. Nothing here blocks except `Session.open`. Knows nothing of Locust.
"""

from __future__ import annotations

import socket
from collections import deque
from collections.abc import Callable
from time import perf_counter
from typing import TYPE_CHECKING, Any

import gevent
from gevent.event import Event
from gevent.hub import Waiter
from gevent.lock import Semaphore
from paho.mqtt import client as paho

from streamlab_plugin.users.exchange import Exchange
from streamlab_plugin.users.mqtt_client import Memory, MqttClient
from streamlab_plugin.users.mqtt_error import FAILURE, ConnectionLostError, MqttError, failure

if TYPE_CHECKING:
    from streamlab_plugin.users.injector import Strike

_READ, _WRITE = 1, 2
# Publishes in flight at once: what paho would allow, and less if the broker says so.
_IN_FLIGHT = 20


class Session:
    """A connection to a broker, from CONNECT to the end of the socket.

    Args:
        client: What speaks to the broker.
        on_news: Called, in the hub or in a sending greenlet, when `news` should be fetched; must not block.
        memory: Of the client whose session this one may resume.
    """

    def __init__(
        self, client: MqttClient, on_news: Callable[[Session], None], memory: Memory | None = None
    ) -> None:
        self._paho = client
        self._memory = memory
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
        self._is_reading = False
        self._publishing: Exchange | None = None
        self._woken: list[Any] = []
        self.slots = Semaphore(_IN_FLIGHT)
        self.started = perf_counter()
        self.opened = 0.0  # when CONNACK came, or the attempt failed; 0 before
        self.is_open = False
        self.is_resumed = False  # whether the broker still knew us, with our subscriptions
        self.failure: Exception | None = None
        self.end: MqttError | None = None  # how an open session ended
        self.closing = 0.0  # when we said goodbye; 0 before
        self.gave_up = False
        self.is_settled = False  # whether the connect has its row
        self.strike: Strike | None = None  # the injected fault that ended it
        self.waiter: Any = Waiter()
        self.over = Event()
        self.exchanges: dict[int, Exchange] = {}
        self.finished: deque[Exchange] = deque()  # ended, with nobody waiting
        self.deliveries: deque[tuple[paho.MQTTMessage, float]] = deque()
        self.heard_at = 0.0  # when the newest of them came

    # Opening and closing

    def open(self) -> None:
        """Connect and send CONNECT; the rest comes through the loop. Blocks for the connection only.

        Raises:
            OSError: The broker cannot be reached.
        """
        self._paho.reconnect()
        sock = self._paho.raw_socket
        if sock is None:
            raise ConnectionLostError("no CONNACK")
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
        self._wake_soon()  # also who waits for an attempt that failed while CONNECT was written
        self.abort()

    def close(self) -> None:
        """Say goodbye; deliveries go on until the broker closes the connection."""
        if not self.closing:
            self.closing = perf_counter()
            self._resume()
            self._paho.say_goodbye()
            self._written()

    def pause(self, seconds: float) -> None:
        """Read nothing for so long, or until the goodbye: the broker's buffers fill."""
        if self._reader is not None and not self.closing:
            self._reader.stop()
            timer = self._loop.timer(seconds)
            timer.start(self._resume, timer)

    def _resume(self, timer: Any = None) -> None:
        if timer is not None:
            timer.close()
        if self._reader is not None and not self._reader.active:
            self._paho.is_slow = True
            self._reader.start(self._readable)

    def abort(self) -> None:
        """Shut the socket down; the loop then sees the end."""
        sock = self._paho.raw_socket
        if sock is not None:
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    # Sending. Each call is atomic: nothing in it gives way to another greenlet.

    def publish(self, exchange: Exchange, topic: str, data: bytes, qos: int, properties: Any = None) -> None:
        """Send a PUBLISH; *exchange* ends now (QoS 0) or with its acknowledgement.

        Raises:
            ValueError: The topic or the QoS is not valid.
        """
        # With QoS 0 paho reports the end before it returns the message id.
        self._publishing = exchange
        try:
            info = self._paho.publish(topic, data, qos, False, properties)
        finally:
            self._publishing = None
        self._sent(exchange, info.mid, info.rc)

    def repeat(self, topic: str, data: bytes, qos: int, properties: Any = None) -> None:
        """Send a PUBLISH that no exchange stands for: nobody hears of its acknowledgement.

        Raises:
            ValueError: The topic or the QoS is not valid.
        """
        self._paho.publish(topic, data, qos, False, properties)
        self._written()

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
                exchange.end(FAILURE, self.end or ConnectionLostError("not sent"))
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
        self._is_reading = True
        try:
            client.loop_read()
            while client.has_more:
                client.loop_read()
        except Exception:  # noqa: BLE001 - a packet that paho cannot parse must not kill the hub's callback
            self.abort()
            self._reader_failed()
        self._is_reading = False
        self._watch_writes()
        self._tell()  # first: who is woken must not find a lost session
        woken, self._woken = self._woken, []
        for waiter in woken:
            waiter.switch(None)  # this is the hub

    def _reader_failed(self) -> None:
        if self.end is None:
            self._ended(failure("not understood", 0x81))

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
    def memory(self) -> Memory:
        """What a later session of this client needs to resume this one."""
        return self._paho.memory

    @property
    def has_news(self) -> bool:
        """Whether something waits to be told: `finished`, `deliveries`, `end`."""
        return bool(self.finished or self.deliveries or self.end is not None)

    def _tell(self) -> None:
        if self.finished or self.deliveries or self.end is not None:
            self._on_news(self)

    @property
    def _arrived(self) -> float:
        """When that came which paho tells of now: an end that we have caused ourselves comes now."""
        return self._paho.arrived if self._is_reading else perf_counter()

    # What paho calls; it holds locks meanwhile, so nothing here may call back or give way

    def _on_connect(self, _client: Any, _data: Any, flags: Any, reason: Any, properties: Any) -> None:
        if self.opened:
            self.abort()  # too late: nobody waits for it any more
            return
        self.opened = self._arrived
        if reason.is_failure:
            self.failure = failure("connect refused", reason.value)
        else:
            self.is_open = True
            self.is_resumed = bool(flags.session_present)
            if self.is_resumed and self._memory is not None:
                self._paho.resume(self._memory)
            limit = getattr(properties, "ReceiveMaximum", _IN_FLIGHT)
            if limit < _IN_FLIGHT:
                self.slots = Semaphore(limit)
        self._woken.append(self.waiter)

    def _on_disconnect(self, client: Any, _data: Any, flags: Any, reason: Any, _properties: Any) -> None:
        if not self.is_open:
            if not self.opened:
                self.opened = perf_counter()
                self.failure = _end("no CONNACK", flags, reason)
                self._woken.append(self.waiter)
            self.over.set()
            return
        now = perf_counter()
        self.deliveries.extend((message, now) for message in client.unreleased())
        self._ended(_end("disconnected", flags, reason))

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
        error = failure("publish refused", reason.value) if reason.value >= FAILURE else None
        if exchange is not None:
            self._finish(exchange, reason.value, error, self._arrived)
        elif self._publishing is not None:
            self._publishing.end(reason.value, error)

    def _on_subscribe(self, _client: Any, _data: Any, mid: int, reasons: Any, _properties: Any) -> None:
        exchange = self.exchanges.pop(mid, None)
        if exchange is None:
            return
        worst = max(reasons, key=lambda reason: int(reason.value))
        is_refused = worst.value >= FAILURE
        error = failure("subscribe refused", worst.value) if is_refused else None
        self._finish(exchange, worst.value, error, self._arrived)

    def _on_message(self, _client: Any, _data: Any, message: paho.MQTTMessage) -> None:
        self.heard_at = self._arrived
        self.deliveries.append((message, self.heard_at))

    def _finish(
        self, exchange: Exchange, status: int, error: Exception | None, arrived: float | None = None
    ) -> None:
        exchange.end(status, error, arrived)
        if exchange.waiter is not None:
            self._woken.append(exchange.waiter)
        else:
            self.finished.append(exchange)


def _end(what: str, flags: Any, reason: Any) -> MqttError:
    """Return why a connection ended: as the broker said, as our keep-alive found, or without a word."""
    if flags.is_disconnect_packet_from_server or reason.value > FAILURE:
        return failure(what, reason.value)
    return ConnectionLostError(what)
