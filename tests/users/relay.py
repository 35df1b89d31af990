"""What stands between a user and its broker in the driver scripts, or in the broker's place."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gevent
import gevent.server
import gevent.socket

_servers: list[gevent.server.StreamServer] = []  # so that they live as long as the script


def serve(handle: Callable[[Any, Any], None]) -> str:
    """Serve connections with *handle*; return the URL."""
    server = gevent.server.StreamServer(("127.0.0.1", 0), handle)
    server.start()
    _servers.append(server)
    return f"mqtt://127.0.0.1:{server.server_port}"


def scripted(connack: bytes, answer: Callable[[bytes], bytes]) -> str:
    """Serve a broker that answers CONNECT with *connack*, the rest as *answer* says; return its URL."""

    def handle(sock: Any, _address: Any) -> None:
        sock.recv(4096)
        sock.sendall(connack)
        while (packet := sock.recv(4096)) and packet[0] != 0xE0:
            sock.sendall(answer(packet))

    return serve(handle)


class Relay:
    """Pass bytes between clients and the broker at *port* until `cut`."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._sockets: list[Any] = []
        self.url = serve(self._handle)

    def cut(self) -> None:
        """End all connections at once, without a word of MQTT."""
        cut, self._sockets = self._sockets, []
        for sock in cut:
            sock.shutdown(gevent.socket.SHUT_RDWR)

    def _handle(self, client: Any, _address: Any) -> None:
        broker = gevent.socket.create_connection(("127.0.0.1", self._port))
        self._sockets += [client, broker]
        back = gevent.spawn(_pass, broker, client)
        _pass(client, broker)
        back.join()


def _pass(source: Any, target: Any) -> None:
    try:
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(gevent.socket.SHUT_RDWR)
    except OSError:
        pass
