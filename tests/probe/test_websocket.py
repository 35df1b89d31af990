"""The WebSocket probe against the websockets library, and against servers that are none."""

from __future__ import annotations

import socket
from functools import partial

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from probe_peers import Ask, Certificates, dripping, raw_server, saying, until_end, websocket_server
from websockets.utils import accept_key

from streamlab_plugin.probe import websocket

heartbeat = partial(websocket.probe, message="heartbeat", expects_reply=True)


class TestOk:
    """A server that does as it should."""

    def test_ping(self, ask: Ask, ws_port: int) -> None:
        """Handshake and ping are measured."""
        answer = ask(f"ws://127.0.0.1:{ws_port}/", websocket.probe)
        assert ("ok", {"status": 101}) == (answer.outcome, answer.facts)
        assert ["dns", "tcp", "handshake", "ping", "total"] == list(answer.timings_ms)

    def test_a_ping_among_pushes(self, ask: Ask, ws_port: int) -> None:
        """A server that speaks first does not disturb."""
        assert "ok" == ask(f"ws://127.0.0.1:{ws_port}/chatty", websocket.probe).outcome

    def test_a_reply(self, ask: Ask, ws_port: int) -> None:
        """With a reply expected, its round trip is measured."""
        answer = ask(f"ws://127.0.0.1:{ws_port}/", heartbeat)
        assert ["dns", "tcp", "handshake", "ping", "reply", "total"] == list(answer.timings_ms)

    def test_a_message_without_reply(self, ask: Ask, ws_port: int) -> None:
        """Without, the message is sent and that is all."""
        answer = ask(f"ws://127.0.0.1:{ws_port}/mute", partial(websocket.probe, message="hello"))
        assert ("ok", True) == (answer.outcome, "send" in answer.timings_ms)

    def test_encrypted(self, ask: Ask, trusted: Certificates) -> None:
        """wss measures TLS as well."""
        with websocket_server(trusted.server()) as port:
            answer = ask(f"wss://127.0.0.1:{port}/", heartbeat)
        assert ("ok", True) == (answer.outcome, "tls" in answer.timings_ms)


class TestRefused:
    """A handshake that is refused shows its status."""

    @pytest.mark.parametrize(
        ("status", "outcome"),
        [(401, "not_authorised"), (403, "not_authorised"), (503, "bad_status"), (302, "bad_status")],
    )
    def test_status(self, ask: Ask, ws_port: int, status: int, outcome: str) -> None:
        """401 and 403 refuse us, anything else is a bad status; the server's words are not repeated."""
        answer = ask(f"ws://127.0.0.1:{ws_port}/refuse/{status}?token=hunter2", websocket.probe)
        assert (outcome, status) == (answer.outcome, answer.facts["status"])
        assert f"HTTP {status} " in answer.reason
        assert "secret" not in answer.reason
        assert f"ws://127.0.0.1:{ws_port}/refuse/{status}?token=…" == answer.target

    @pytest.mark.parametrize(
        ("code", "outcome"), [(3000, "not_authorised"), (4401, "not_authorised"), (1011, "protocol")]
    )
    def test_closed_at_once(self, ask: Ask, ws_port: int, code: int, outcome: str) -> None:
        """Some refuse by a close code after the handshake; then no reply comes."""
        answer = ask(f"ws://127.0.0.1:{ws_port}/close/{code}", heartbeat)
        assert (outcome, code) == (answer.outcome, answer.facts["close_code"])


class TestTimeout:
    """A target that does not answer."""

    def test_no_handshake(self, ask: Ask) -> None:
        """It accepts and says nothing."""
        with raw_server(until_end) as port:
            answer = ask(f"ws://127.0.0.1:{port}/", websocket.probe, timeout_s=0.2)
        assert ("timeout", "no answer within 0.2 s, in phase handshake") == (answer.outcome, answer.reason)

    def test_no_reply(self, ask: Ask, ws_port: int) -> None:
        """It answers pings, but no message."""
        answer = ask(f"ws://127.0.0.1:{ws_port}/mute", heartbeat, timeout_s=0.5)
        assert ("timeout", "no answer within 0.5 s, in phase reply") == (answer.outcome, answer.reason)

    def test_dripping(self, ask: Ask) -> None:
        """It sends a header that never ends."""
        with raw_server(dripping(b"H")) as port:
            answer = ask(f"ws://127.0.0.1:{port}/", websocket.probe, timeout_s=0.5)
        assert "timeout" == answer.outcome


class TestNoWebSocket:
    """Servers that do not do what WebSocket wants."""

    @pytest.mark.parametrize(
        ("said", "reason"),
        [
            (b"", "the connection was closed in phase handshake"),
            (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", "what came in phase handshake is no WebSocket"),
            (b"HTTP/1.1 101 Switching Protocols\r\n\r\n", "what came in phase handshake is no WebSocket"),
        ],
    )
    def test_protocol(self, ask: Ask, said: bytes, reason: str) -> None:
        """All of this is `protocol`."""
        with raw_server(saying(said)) as port:
            answer = ask(f"ws://127.0.0.1:{port}/", websocket.probe)
        assert ("protocol", reason) == (answer.outcome, answer.reason)

    def test_an_http_server(self, ask: Ask, http_port: int) -> None:
        """A server that answers 200 refuses the handshake with that."""
        answer = ask(f"ws://127.0.0.1:{http_port}/", websocket.probe)
        assert ("bad_status", 200) == (answer.outcome, answer.facts["status"])

    @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
    @given(said=st.binary(max_size=200), is_status=st.booleans())
    def test_anything(self, ask: Ask, said: bytes, is_status: bool) -> None:
        """Whatever a server says is an outcome."""
        beginning = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n" if is_status else b""
        with raw_server(saying(beginning + said)) as port:
            answer = ask(f"ws://127.0.0.1:{port}/", websocket.probe)
        assert answer.outcome in ("protocol", "bad_status")

    @settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
    @given(frames=st.binary(max_size=40))
    def test_any_frames(self, ask: Ask, frames: bytes) -> None:
        """So is whatever comes after a good handshake."""

        def converse(connection: socket.socket) -> None:
            asked = connection.recv(65_536).partition(b"Sec-WebSocket-Key: ")[2].partition(b"\r\n")[0]
            accept = accept_key(asked.decode())
            connection.sendall(
                b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                + f"Sec-WebSocket-Accept: {accept}\r\n\r\n".encode()
                + frames
            )

        with raw_server(converse) as port:
            answer = ask(f"ws://127.0.0.1:{port}/", websocket.probe)
        assert answer.outcome in ("ok", "protocol", "not_authorised")
