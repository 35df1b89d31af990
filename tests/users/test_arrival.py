from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Iterator

import pytest

from streamlab_plugin.users.arrival import receive, take_notes


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """A TCP connection: who writes, who reads."""
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_connection(server.getsockname()) as writer,
        server.accept()[0] as reader,
    ):
        yield writer, reader


class TestReceive:
    def test_noted(self, pair: tuple[socket.socket, socket.socket]) -> None:
        """What waited for its reader arrived when it came."""
        writer, reader = pair
        assert take_notes(reader)
        time.sleep(0.2)  # the kernel begins a moment after it was first asked on this machine
        began = time.perf_counter()
        writer.sendall(b"early")
        time.sleep(0.3)
        data, arrived = receive(reader, 100)
        assert b"early" == data
        assert -0.001 < arrived - began < 0.2

    def test_without_notes(self, pair: tuple[socket.socket, socket.socket]) -> None:
        """Without a note it arrives when it is read."""
        writer, reader = pair
        writer.sendall(b"x")
        time.sleep(0.05)
        before = time.perf_counter()
        assert before <= receive(reader, 100)[1] <= time.perf_counter()

    def test_end(self, pair: tuple[socket.socket, socket.socket]) -> None:
        """The end of the stream is empty, as with `recv`."""
        writer, reader = pair
        assert take_notes(reader)
        writer.close()
        assert b"" == receive(reader, 100)[0]

    def test_clock_was_set(
        self, pair: tuple[socket.socket, socket.socket], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A note from long ago, or from the future, is not believed."""
        writer, reader = pair
        assert take_notes(reader)
        time.sleep(0.2)
        for offset_s in (3_600.0, -3_600.0):
            now = time.time() + offset_s
            monkeypatch.setattr("streamlab_plugin.users.arrival.time", lambda now=now: now)
            writer.sendall(b"x")
            before = time.perf_counter()
            assert before <= receive(reader, 100)[1] <= time.perf_counter()


class TestTakeNotes:
    def test_encrypted(self, pair: tuple[socket.socket, socket.socket]) -> None:
        """TLS reads by itself: there are no notes."""
        context = ssl.create_default_context()
        with context.wrap_socket(
            pair[1], server_hostname="localhost", do_handshake_on_connect=False
        ) as encrypted:
            assert not take_notes(encrypted)
