"""The proxy for network faults, in front of a real echo server."""

from __future__ import annotations

import random
import socket
import socketserver
import threading
import time
from collections.abc import Iterator

import pytest
from proxy import DEADLINE_S, HOST, Proxy


class Echo(socketserver.BaseRequestHandler):
    """Send back what comes until the client has said its last word."""

    def handle(self) -> None:
        """Serve one connection."""
        try:
            while data := self.request.recv(65_536):
                self.request.sendall(data)
        except ConnectionError:
            pass


@pytest.fixture(scope="module")
def echo() -> Iterator[int]:
    """An echo server's port."""
    with socketserver.ThreadingTCPServer((HOST, 0), Echo) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


@pytest.fixture
def proxy(echo: int) -> Iterator[Proxy]:
    """A proxy in front of the echo server."""
    with Proxy(echo) as proxy:
        yield proxy


def connect(proxy: Proxy) -> socket.socket:
    """Open a connection that waits for nothing longer than the deadline."""
    return socket.create_connection((HOST, proxy.port), timeout=DEADLINE_S)


def ask(connection: socket.socket, question: bytes = b"ping") -> bytes:
    """Send *question* and read an answer of its length, or what came until the end."""
    connection.sendall(question)
    answer = b""
    while len(answer) < len(question) and (data := connection.recv(65_536)):
        answer += data
    return answer


def has_ended(connection: socket.socket) -> bool:
    """Wait for the connection's end; a reset is an end like any other."""
    try:
        return connection.recv(1) == b""
    except ConnectionError:
        return True


class TestDelay:
    def test_a_round_trip_takes_at_least_two_delays(self, proxy: Proxy) -> None:
        """The delay counts once in each direction, and may be set while a connection is open."""
        with connect(proxy) as connection:
            assert b"ping" == ask(connection)
            proxy.delay_s = 0.1
            begin = time.perf_counter()
            assert b"ping" == ask(connection)
            assert time.perf_counter() - begin >= 0.2

    def test_many_chunks_wait_side_by_side_and_stay_in_order(self, proxy: Proxy) -> None:
        """8 MiB are 128 chunks at least: one delay after the other would take twice the deadline."""
        proxy.delay_s = 0.2
        sent = random.Random(1).randbytes(8 * 1024 * 1024)
        received = bytearray()
        with connect(proxy) as connection:
            sender = threading.Thread(
                target=lambda: (connection.sendall(sent), connection.shutdown(socket.SHUT_WR))
            )
            sender.start()
            give_up = time.monotonic() + DEADLINE_S
            while (data := connection.recv(65_536)) and time.monotonic() < give_up:
                received += data
            sender.join()
        assert sent == received


class TestCut:
    def test_closes_what_is_open_and_refuses_what_comes(self, proxy: Proxy) -> None:
        """A cut line ends every connection, and nobody listens."""
        with connect(proxy) as connection:
            ask(connection)
            proxy.cut()
            assert has_ended(connection)
            with pytest.raises(ConnectionRefusedError):
                connect(proxy)

    def test_restore_listens_on_the_same_port(self, proxy: Proxy) -> None:
        """A client that tries again gets through."""
        port = proxy.port
        proxy.cut()
        proxy.restore()
        with connect(proxy) as connection:
            assert b"ping" == ask(connection)
        assert port == proxy.port


class TestHold:
    def test_accepts_and_stays_silent_until_released(self, proxy: Proxy) -> None:
        """Neither an open nor a new connection gets an answer; afterwards both do, and nothing is lost."""
        with connect(proxy) as before:
            ask(before)
            proxy.hold()
            with connect(proxy) as during:
                for connection in (before, during):
                    connection.sendall(b"ping")
                    connection.settimeout(0.1)
                    with pytest.raises(TimeoutError):
                        connection.recv(4)
                    connection.settimeout(DEADLINE_S)
                proxy.release()
                assert [b"ping", b"ping"] == [before.recv(4), during.recv(4)]


class TestServer:
    def test_a_server_that_is_not_there_ends_the_connection(self) -> None:
        """The client is not left waiting."""
        with Proxy(target_port=1) as alone, connect(alone) as connection:
            assert has_ended(connection)

    def test_close_may_be_called_twice(self, echo: int) -> None:
        """Cleaning up needs no order."""
        proxy = Proxy(echo)
        proxy.close()
        proxy.close()
        with pytest.raises(ConnectionRefusedError):
            connect(proxy)
