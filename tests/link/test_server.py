"""The server hears several clients, ends broken streams and has one owner per socket."""

from __future__ import annotations

import socket
import time
from pathlib import Path

import pytest

from streamlab_plugin.link.framing import Unframer, frame
from streamlab_plugin.link.message import Hello, Uplink, Welcome, decode_downlink, encode
from streamlab_plugin.link.server import Connection, Server, claim


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return a short socket path."""
    return tmp_path / "s.sock"


def _client(path: Path) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.settimeout(5)
    sock.connect(str(path))
    return sock


def _events(server: Server, wanted: int) -> list[tuple[Connection, Uplink | None]]:
    """Poll until *wanted* events came or 5 s have passed."""
    events: list[tuple[Connection, Uplink | None]] = []
    deadline = time.monotonic() + 5
    while len(events) < wanted and time.monotonic() < deadline:
        events += server.poll(0.05)
    return events


class TestServer:
    """`Server`."""

    def test_it_hears_and_answers(self, path: Path) -> None:
        """A message goes up, an answer comes down."""
        server = Server(path)
        client = _client(path)
        client.sendall(frame(encode(Hello(1, 42, "worker"))))
        [(connection, message)] = _events(server, 1)
        assert Hello(1, 42, "worker") == message
        connection.send(Welcome(1, 43))
        [body] = Unframer().feed(client.recv(1000))
        assert Welcome(1, 43) == decode_downlink(body)

    def test_a_client_that_leaves_is_reported_once(self, path: Path) -> None:
        """As None."""
        server = Server(path)
        client = _client(path)
        client.sendall(frame(encode(Hello(1, 42, "worker"))))
        _events(server, 1)
        client.close()
        assert [None] == [message for _connection, message in _events(server, 1)]
        assert 0 == server.connections

    def test_a_stream_that_is_not_ours_is_ended(self, path: Path) -> None:
        """Without harm to the others."""
        server = Server(path)
        bad, good = _client(path), _client(path)
        bad.sendall(frame(b"\xc1 is no msgpack"))
        assert [None] == [message for _connection, message in _events(server, 1)]
        good.sendall(frame(encode(Hello(1, 7, "master"))))
        assert [Hello(1, 7, "master")] == [message for _connection, message in _events(server, 1)]


class TestClaim:
    """`claim`: one recorder per socket."""

    def test_the_second_one_gives_way_to_a_serving_recorder(self, path: Path) -> None:
        """It sees that the socket answers and does not wait."""
        lock = claim(path, wait_s=0)
        assert lock is not None
        server = Server(path)
        assert claim(path, wait_s=5) is None
        server.stop_listening()
        lock.close()

    def test_the_next_one_may_follow(self, path: Path) -> None:
        """Once the lock is free."""
        first = claim(path, wait_s=0)
        assert first is not None
        first.close()
        second = claim(path, wait_s=0)
        assert second is not None
        second.close()
