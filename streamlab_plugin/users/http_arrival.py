"""How long an answer had waited in the kernel when geventhttpclient read it; see `arrival`."""

from __future__ import annotations

from time import perf_counter
from typing import Any

from gevent import socket
from geventhttpclient.client import HTTPClientPool
from geventhttpclient.connectionpool import ConnectionPool
from greenlet import getcurrent

from streamlab_plugin.users.arrival import receive, take_notes


class _Newest:
    """The newest read of this process; whoever read it looks at it before anybody else can read."""

    reader: Any = None
    waited_ms = 0.0


def forget() -> None:
    """Forget what this greenlet has read; to be called before a request."""
    if _Newest.reader is getcurrent():
        _Newest.reader = None


def waited_ms() -> float:
    """Return how long that had waited which this greenlet has just read; 0 where nobody knows."""
    return _Newest.waited_ms if _Newest.reader is getcurrent() else 0.0


class _NotingSocket(socket.socket):
    def recv(self, size: int, *flags: int) -> bytes:
        if flags:
            return bytes(super().recv(size, *flags))
        _Newest.reader = None  # should this fail
        data, arrived = receive(self, size)
        _Newest.waited_ms = (perf_counter() - arrived) * 1000.0
        _Newest.reader = getcurrent()
        return data


class _NotingConnections(ConnectionPool):
    def _create_tcp_socket(self, family: int, socktype: int, protocol: int) -> Any:
        sock = _NotingSocket(family, socktype, protocol)
        return sock if take_notes(sock) else super()._create_tcp_socket(family, socktype, protocol)


class NotingPool(HTTPClientPool):
    """A pool of Locust's whose unencrypted connections tell when an answer came."""

    def get_client(self, url: Any) -> Any:
        """Return the client for the host of *url*."""
        client = super().get_client(url)
        if type(client._connection_pool) is ConnectionPool:
            client._connection_pool.__class__ = _NotingConnections
        return client
