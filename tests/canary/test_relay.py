"""The relay between master and worker: it changes nothing and hears everything."""

from __future__ import annotations

import contextlib
import socket

from streamlab_plugin.canary.relay import Relay

_TIMEOUT_S = 10.0


class TestRelay:
    """`Relay`."""

    def test_both_directions(self) -> None:
        """Each side gets what the other one sends, and both are kept apart."""
        with socket.create_server(("127.0.0.1", 0)) as server, Relay(server.getsockname()[1]) as relay:
            with socket.create_connection(("127.0.0.1", relay.port), _TIMEOUT_S) as worker:
                master, _address = server.accept()
                with master:
                    master.settimeout(_TIMEOUT_S)
                    worker.sendall(b"hello" * 20_000)
                    got = _exactly(master, 100_000)
                    master.sendall(b"welcome")
                    assert b"welcome" == _exactly(worker, 7)
            assert b"hello" * 20_000 == got
            assert [b"hello" * 20_000, b"welcome"] == relay.heard()

    def test_nobody_there_yet(self) -> None:
        """A connection to a master that is not up ends, and the next one is passed on."""
        with contextlib.ExitStack() as stack:
            server = stack.enter_context(socket.socket())
            server.bind(("127.0.0.1", 0))
            relay = stack.enter_context(Relay(server.getsockname()[1]))
            with socket.create_connection(("127.0.0.1", relay.port), _TIMEOUT_S) as early:
                assert b"" == early.recv(1)
            server.listen()
            worker = stack.enter_context(socket.create_connection(("127.0.0.1", relay.port), _TIMEOUT_S))
            worker.sendall(b"hello")
            master, _address = server.accept()
            with master:
                assert b"hello" == _exactly(master, 5)


def _exactly(sock: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size and (more := sock.recv(size - len(data))):
        data += more
    return data
