"""A way for Locust's own messages on which they can be read: between a worker and its master."""

from __future__ import annotations

import contextlib
import socket
import threading
from types import TracebackType

_HOST = "127.0.0.1"
_CHUNK_BYTES = 65_536


class Relay:
    """Pass the bytes of every connection to *target_port* on this machine and keep a copy.

    What each side said on a connection is kept apart, so that no message is cut by one of the other side.
    """

    def __init__(self, target_port: int) -> None:
        self._target_port = target_port
        self._heard: list[bytearray] = []
        self._listener = socket.create_server((_HOST, 0))
        self.port: int = self._listener.getsockname()[1]
        self._sockets = [self._listener]
        threading.Thread(target=self._accept, name="canary-relay", daemon=True).start()

    def __enter__(self) -> Relay:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for one in self._sockets:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def heard(self) -> list[bytes]:
        """Return what was said so far: one element per connection and direction."""
        return [bytes(said) for said in self._heard]

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _address = self._listener.accept()
                self._sockets.append(client)
                try:
                    server = socket.create_connection((_HOST, self._target_port))
                except OSError:
                    client.close()  # the master is not there yet; the worker tries again
                    continue
                self._sockets.append(server)
                for source, sink in ((client, server), (server, client)):
                    said = bytearray()
                    self._heard.append(said)
                    threading.Thread(target=_pass_on, args=(source, sink, said), daemon=True).start()


def _pass_on(source: socket.socket, sink: socket.socket, said: bytearray) -> None:
    with contextlib.suppress(OSError):
        while chunk := source.recv(_CHUNK_BYTES):
            said += chunk
            sink.sendall(chunk)
        sink.shutdown(socket.SHUT_WR)
