"""One WebSocket connection: frames out by any greenlet, frames in by one, and how it ended.

Knows nothing of Locust. Pings, pongs and messages share one lock, because gevent allows one writer per
socket; a reader never times out, because that would leave half a frame behind. A writer may: a peer that
hangs takes nothing as soon as the buffers are full.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any
from urllib.parse import urlsplit

import gevent
import websocket
from gevent.event import Event
from gevent.lock import Semaphore
from greenlet import getcurrent
from websocket import ABNF
from websocket._handshake import CookieJar

from streamlab_plugin.users.arrival import receive, take_notes
from streamlab_plugin.users.tls import Tls

NORMAL = 1000
PROTOCOL_ERROR = 1002
NO_STATUS = 1005
ABNORMAL = 1006

REASON_LIMIT_BYTES = 123  # RFC 6455: what a control frame holds beside the code

_READ_BYTES = 65_536
# The longest that pongs and close frames wait behind a message that the peer does not take.
_CONTROL_LIMIT_S = 1.5


class ConnectionClosedError(ConnectionError):
    """The connection has ended; ``code`` is the close code, 1006 where the peer vanished without one."""

    def __init__(self, code: int, reason: str = "") -> None:
        super().__init__(f"connection closed with {code} {reason}".rstrip())
        self.code = code


class StalledError(TimeoutError):
    """The peer did not take a message in time, because it reads nothing."""

    def __init__(self) -> None:
        super().__init__("the peer reads nothing")


class HandshakeRefusedError(ConnectionError):
    """The server answered the upgrade with an HTTP status other than 101."""

    def __init__(self, status: int) -> None:
        super().__init__(f"handshake refused with HTTP {status}")
        self.status = status


@dataclass(frozen=True, slots=True)
class Upgrade:
    """What a client says in its handshake, and how it checks the server."""

    headers: Mapping[str, str] = field(default_factory=dict)
    cookies: Mapping[str, str] = field(default_factory=dict)
    subprotocols: tuple[str, ...] = ()
    tls: Tls = field(default_factory=Tls)


class _BufferedSocket(websocket.WebSocket):
    """Reads whatever is there instead of a frame's header and body one by one: one system call, not three."""

    def __init__(self) -> None:
        super().__init__(enable_multithread=False, skip_utf8_validation=True)
        self._received = b""
        self._at = 0
        self.has_notes = False  # the kernel's, of arrivals
        self.arrived = 0.0  # what was read last, a `perf_counter` reading
        self.resume: Event | None = None  # set while nothing may be read
        self.pause_s = 0.0

    def _recv(self, bufsize: int) -> bytes:
        if self._at == len(self._received):
            self._received, self.arrived = self._receive()
            if self.resume is not None:
                self.resume.wait(self.pause_s)
                self.resume = None
                self.arrived = perf_counter()  # for this consumer, which is slow on purpose
            self._at = 0
            if not self._received:
                raise websocket.WebSocketConnectionClosedException("the peer has gone")
        start = self._at
        self._at = min(start + bufsize, len(self._received))
        return self._received[start : self._at]

    def _receive(self) -> tuple[bytes, float]:
        sock = self.sock
        if sock is None:
            return b"", perf_counter()
        if self.has_notes:
            return receive(sock, _READ_BYTES)
        return sock.recv(_READ_BYTES), perf_counter()


class Connection:
    """A client connection; `open`, then `read` in one greenlet until it raises `ConnectionClosedError`."""

    def __init__(self) -> None:
        self._socket: Any = _BufferedSocket()  # the library is typed in half
        self._lock = Semaphore(1)
        # What a killed writer left behind; it must go first or the peer would see garbage.
        self._unsent = b""
        self.close_sent = False
        self.phases_ms: dict[str, float] = {}
        self.on_pong: Callable[[bytes], None] | None = None
        self.subprotocol: str | None = None  # the one that the server has chosen

    def open(self, url: str, upgrade: Upgrade, timeout_s: float) -> None:
        """Connect and shake hands within *timeout_s*; ``phases_ms`` says how long each part took.

        Its keys are ``tcp_ms`` (with the look-up of the name), ``tls_ms`` for ``wss://``, ``handshake_ms``.

        Raises:
            HandshakeRefusedError: The server answered with another status than 101.
            OSError, websocket.WebSocketException: It could not be reached, its certificate is not to be
                trusted, or it does not speak WebSocket.
        """
        deadline = perf_counter() + timeout_s
        sock = self._reach(url, upgrade.tls, deadline)
        began = perf_counter()
        cookies = "; ".join(f"{name}={value}" for name, value in upgrade.cookies.items())
        try:
            self._socket.connect(
                url, socket=sock, timeout=max(0.001, deadline - began), header=dict(upgrade.headers),
                subprotocols=list(upgrade.subprotocols) or None, cookie=cookies or None,
            )  # fmt: skip
        except websocket.WebSocketBadStatusException as error:
            # Its text carries the answer's headers and body, which belong into no error table.
            raise HandshakeRefusedError(error.status_code) from None
        finally:
            # The library keeps cookies for the whole process: one user's session would become everybody's.
            CookieJar.jar.clear()
        self.phases_ms["handshake_ms"] = (perf_counter() - began) * 1000.0
        self._socket.settimeout(None)
        self._socket.has_notes = take_notes(sock)
        self.subprotocol = self._socket.getsubprotocol()
        self._socket.handshake_response = None  # its headers are of no more use, and take most of a kilobyte

    def _reach(self, url: str, tls: Tls, deadline: float) -> socket.socket:
        """Return a socket to the server of *url*, for ``wss://`` one that is encrypted."""
        target = urlsplit(url)
        is_tls = target.scheme == "wss"
        began = perf_counter()
        address = target.hostname or "", target.port or (443 if is_tls else 80)
        sock = socket.create_connection(address, deadline - began)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connected = perf_counter()
        self.phases_ms["tcp_ms"] = (connected - began) * 1000.0
        if not is_tls:
            sock.settimeout(max(0.001, deadline - connected))
            return sock
        try:
            sock.settimeout(max(0.001, deadline - connected))
            secured = tls.context().wrap_socket(sock, server_hostname=tls.server_name or target.hostname)
        except BaseException:
            sock.close()
            raise
        self.phases_ms["tls_ms"] = (perf_counter() - connected) * 1000.0
        return secured

    def write(self, opcode: int, data: bytes) -> None:
        """Send one message as one frame; waits as long as the peer takes nothing.

        A `StalledError` may be thrown into the waiting greenlet. What has begun to go goes on without it.

        Raises:
            ConnectionClosedError: The close frame has been sent, or the socket is gone.
            OSError: The peer is gone.
        """
        frame = ABNF.create_frame(data, opcode).format()
        with self._lock:
            if self.close_sent:
                raise ConnectionClosedError(ABNORMAL, "closing")
            try:
                self._send(frame)
            except StalledError:
                gevent.spawn(self._finish)
                raise

    def write_within(self, timeout_s: float, opcode: int, data: bytes) -> None:
        """Send one message as `write` does, in *timeout_s* at most.

        Raises:
            ConnectionClosedError: The close frame has been sent, or the socket is gone.
            StalledError: The peer did not take it in time.
            OSError: The peer is gone.
        """
        _within(timeout_s, self.write, opcode, data)

    def pause(self, seconds: float) -> None:
        """Read nothing for so long, or until the connection is to be closed: the peer's buffers fill."""
        if self._socket.resume is None and not self.close_sent:
            self._socket.pause_s = seconds
            self._socket.resume = Event()

    def send_close(self, code: int, reason: str = "") -> None:
        """Send the close frame unless it has been sent; a dead socket is the reader's to report."""
        if self._socket.resume is not None:
            self._socket.resume.set()
        frame = ABNF.create_frame(struct.pack("!H", code) + reason.encode(), ABNF.OPCODE_CLOSE).format()
        try:
            _within(_CONTROL_LIMIT_S, self._write_close, frame)
        except OSError:
            self.close_sent = True

    def _write_close(self, frame: bytes) -> None:
        with self._lock:
            if not self.close_sent:
                self.close_sent = True
                self._send(frame)

    def _send(self, frame: bytes) -> None:
        if self._unsent:
            self._flush()
        self._unsent = frame
        self._flush()

    def _finish(self) -> None:
        """Send the rest of a message whose writer waits no more: half of one would be garbage."""
        with self._lock:
            try:
                self._flush()
            except OSError:
                pass  # the reader reports the end

    def _flush(self) -> None:
        sock = self._socket.sock
        if sock is None:
            raise ConnectionClosedError(ABNORMAL)
        while self._unsent:
            sent = sock.send(self._unsent)
            self._unsent = self._unsent[sent:]

    @property
    def arrived(self) -> float:
        """When what `read` returned last had come to this machine, at the latest (`perf_counter`)."""
        arrived: float = self._socket.arrived
        return arrived

    def read(self) -> tuple[int, bytes]:
        """Return opcode and data of the next message; pings are answered on the way.

        Raises:
            ConnectionClosedError: There will be no more messages; the socket is closed.
        """
        try:
            while True:
                frame = self._socket.recv_frame()
                if frame.opcode == ABNF.OPCODE_PING:
                    self._pong(frame.data)
                elif frame.opcode == ABNF.OPCODE_CLOSE:
                    raise self._closed_by_peer(frame.data)
                elif frame.opcode == ABNF.OPCODE_PONG:
                    if self.on_pong is not None:
                        self.on_pong(frame.data)
                elif message := self._assembled(frame):
                    return message
        except (OSError, websocket.WebSocketConnectionClosedException) as error:
            self._socket.shutdown()
            raise (
                error if isinstance(error, ConnectionClosedError) else ConnectionClosedError(ABNORMAL)
            ) from None
        except websocket.WebSocketException as error:
            self.send_close(PROTOCOL_ERROR)
            self._socket.shutdown()
            raise ConnectionClosedError(PROTOCOL_ERROR, str(error)) from None

    def _assembled(self, frame: Any) -> tuple[int, bytes] | None:
        """Return the message that *frame* completes, or None while fragments are missing."""
        parts = self._socket.cont_frame
        if frame.fin and parts.cont_data is None and frame.opcode != ABNF.OPCODE_CONT:
            return frame.opcode, frame.data
        parts.validate(frame)
        parts.add(frame)
        if not parts.is_fire(frame):
            return None
        opcode, whole = parts.extract(frame)
        return opcode, whole.data

    def _pong(self, data: bytes) -> None:
        try:
            self.write_within(_CONTROL_LIMIT_S, ABNF.OPCODE_PONG, data)
        except OSError:
            pass  # closing or dead: the next read tells

    def _closed_by_peer(self, data: bytes) -> ConnectionClosedError:
        """Return how the peer closed, after answering its close frame."""
        code = struct.unpack("!H", data[:2])[0] if len(data) >= 2 else NO_STATUS
        self.send_close(NORMAL if code == NO_STATUS else code)
        return ConnectionClosedError(code, data[2:].decode(errors="replace"))

    def abort(self) -> None:
        """Shut the socket down; a greenlet in `read` then sees the end."""
        sock = self._socket.sock
        if sock is not None:
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def discard(self) -> None:
        """Close the socket without a word."""
        self._socket.shutdown()


def _within(timeout_s: float, send: Callable[..., None], *arguments: Any) -> None:
    """Call *send*; throw a `StalledError` into it after *timeout_s*."""
    timer = gevent.get_hub().loop.timer(timeout_s)
    timer.start(getcurrent().throw, StalledError)
    try:
        send(*arguments)
    finally:
        timer.close()
