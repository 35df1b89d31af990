"""The recorder's side of the link: plain non-blocking Unix sockets in one thread."""

from __future__ import annotations

import fcntl
import os
import select
import selectors
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from streamlab_plugin.link.framing import Unframer, frame
from streamlab_plugin.link.message import Downlink, Uplink, decode_uplink, encode

RECEIVE_BYTES = 256 * 1024
# A client that does not read its acknowledgements is gone or stopped.
OUTGOING_LIMIT_BYTES = 4 * 1024 * 1024


class Connection:
    """One Locust process at the other end."""

    def __init__(self, sock: socket.socket) -> None:
        self.socket = sock
        self.unframer = Unframer()
        self.outgoing = bytearray()
        self.is_open = True

    def send(self, message: Downlink) -> None:
        """Send *message* as far as the socket takes it now; the server sends the rest."""
        if not self.is_open:
            return
        self.outgoing += frame(encode(message))
        self.flush()
        if len(self.outgoing) > OUTGOING_LIMIT_BYTES:
            self.is_open = False

    def flush(self) -> None:
        """Send what is still waiting."""
        try:
            while self.outgoing:
                sent = self.socket.send(self.outgoing)
                del self.outgoing[:sent]
        except BlockingIOError:
            pass
        except OSError:
            self.is_open = False


def claim(path: Path, wait_s: float) -> IO[str] | None:
    """Become the one recorder for *path*: hold its lock file, or return None when another one serves it.

    Waits up to *wait_s* seconds for a recorder that is just ending.
    """
    holder = open(f"{path}.lock", "w", opener=lambda name, flags: os.open(name, flags, 0o600))  # noqa: SIM115
    deadline = time.monotonic() + wait_s
    while True:
        try:
            fcntl.flock(holder, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return holder
        except BlockingIOError:
            if _answers(path) or time.monotonic() > deadline:
                holder.close()
                return None
            time.sleep(0.05)


def _answers(path: Path) -> bool:
    probe = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        probe.connect(str(path))
    except OSError:
        return False
    finally:
        probe.close()
    return True


class Server:
    """Accept Locust processes and read their messages.

    The caller must hold the lock of *path* (`claim`).
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        path.unlink(missing_ok=True)
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(path))
        os.chmod(path, 0o600)
        self._listener.listen(64)
        self._listener.setblocking(False)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._connections: dict[int, Connection] = {}

    @property
    def connections(self) -> int:
        """How many processes are connected."""
        return len(self._connections)

    def poll(self, timeout_s: float) -> Iterator[tuple[Connection, Uplink | None]]:
        """Wait up to *timeout_s* and yield what arrived; None means that the connection has ended.

        A stream that is not ours, or a message that cannot be decoded, ends its connection.
        """
        for key, _mask in self._selector.select(timeout_s):
            if key.fileobj is self._listener:
                self._accept()
            else:
                connection = self._connections.get(key.fd)
                if connection is not None:
                    yield from self._receive(connection)
        for connection in list(self._connections.values()):
            if connection.outgoing:
                connection.flush()
            if not connection.is_open:
                self._forget(connection)
                yield connection, None

    @property
    def is_deserted(self) -> bool:
        """Whether every process that was connected has gone; what they said last may still be unread."""
        gone = select.poll()
        for connection in self._connections.values():
            gone.register(connection.socket, select.POLLRDHUP)
        return len(gone.poll(0)) == len(self._connections)

    def stop_listening(self) -> None:
        """Take no new process; the socket's name is free for the next recorder."""
        self._path.unlink(missing_ok=True)
        self._selector.unregister(self._listener)
        self._listener.close()

    def _accept(self) -> None:
        try:
            sock, _address = self._listener.accept()
        except OSError:
            return
        sock.setblocking(False)
        self._connections[sock.fileno()] = Connection(sock)
        self._selector.register(sock, selectors.EVENT_READ)

    def _receive(self, connection: Connection) -> Iterator[tuple[Connection, Uplink | None]]:
        try:
            data = connection.socket.recv(RECEIVE_BYTES)
            if not data:
                connection.is_open = False
                return
            for body in connection.unframer.feed(data):
                yield connection, decode_uplink(body)
        except BlockingIOError:
            return
        except Exception:  # noqa: BLE001 - guard line: what cannot be read is told again on a new connection
            connection.is_open = False

    def _forget(self, connection: Connection) -> None:
        self._connections.pop(connection.socket.fileno(), None)
        try:
            self._selector.unregister(connection.socket)
        except (KeyError, ValueError):
            pass
        connection.socket.close()
