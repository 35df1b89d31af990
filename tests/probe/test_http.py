"""The HTTP probe against the standard library's server, and against servers that are none."""

from __future__ import annotations

import socket
from functools import partial

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from probe_peers import Ask, Certificates, http_server, raw_server, saying

from streamlab_plugin.probe import http


class TestStatus:
    """The status decides."""

    @pytest.mark.parametrize(
        ("path", "expected", "outcome"),
        [
            ("200", None, "ok"),
            ("302", None, "ok"),
            ("404", None, "bad_status"),
            ("503", None, "bad_status"),
            ("401", None, "not_authorised"),
            ("403", None, "not_authorised"),
            ("404", 404, "ok"),
            ("401", 401, "ok"),
            ("200", 204, "bad_status"),
            ("403", 200, "not_authorised"),
            ("799", None, "bad_status"),
        ],
    )
    def test_outcome(self, ask: Ask, http_port: int, path: str, expected: int | None, outcome: str) -> None:
        """200 to 399 are ok unless another one is expected; 401 and 403 refuse us."""
        answer = ask(f"http://127.0.0.1:{http_port}/{path}", partial(http.probe, expected=expected))
        assert (outcome, int(path)) == (answer.outcome, answer.facts["status"])
        assert "secret" not in answer.reason

    def test_facts(self, ask: Ask, http_port: int) -> None:
        """Phases in order, version of HTTP, size of the body."""
        answer = ask(f"http://127.0.0.1:{http_port}/", http.probe)
        assert ["dns", "tcp", "first_byte", "total"] == list(answer.timings_ms)
        assert {"http_version": "1.1", "status": 200, "size_bytes": 1000} == answer.facts

    def test_encrypted(self, ask: Ask, trusted: Certificates) -> None:
        """https measures TLS as well."""
        with http_server(trusted.server()) as port:
            answer = ask(f"https://127.0.0.1:{port}/", http.probe)
        assert "ok" == answer.outcome, answer.reason
        assert ["dns", "tcp", "tls", "first_byte", "total"] == list(answer.timings_ms)

    def test_user_info(self, ask: Ask, http_port: int) -> None:
        """User and password of the URL are sent and not shown."""
        answer = ask(f"http://probe:a%20b%3Ac@127.0.0.1:{http_port}/basic", http.probe)
        assert ("ok", f"http://127.0.0.1:{http_port}/basic") == (answer.outcome, answer.target)


class TestNoHttp:
    """Servers that do not do what HTTP wants."""

    @pytest.mark.parametrize(
        ("said", "reason"),
        [
            (b"", "the connection was closed in phase first_byte"),
            (b"SSH-2.0-OpenSSH_9.2\r\n", "what came is no answer in HTTP"),
            (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort", "the body ended 5 bytes too early"),
            (
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nx",
                "what came is no answer in HTTP",
            ),
        ],
    )
    def test_protocol(self, ask: Ask, said: bytes, reason: str) -> None:
        """All of this is `protocol`."""
        with raw_server(saying(said)) as port:
            answer = ask(f"http://127.0.0.1:{port}/", http.probe)
        assert ("protocol", reason) == (answer.outcome, answer.reason)

    def test_an_event_stream_is_not_read(self, ask: Ask) -> None:
        """A stream that never ends is ok as soon as it has begun."""

        def stream(connection: socket.socket) -> None:
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
            while connection.recv(65_536):
                pass

        with raw_server(stream) as port:
            answer = ask(f"http://127.0.0.1:{port}/", http.probe)
        assert ("ok", False) == (answer.outcome, "size_bytes" in answer.facts)

    @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
    @given(said=st.binary(max_size=200), is_status=st.booleans())
    def test_anything(self, ask: Ask, said: bytes, is_status: bool) -> None:
        """Whatever a server says is an outcome."""
        beginning = b"HTTP/1.1 200 OK\r\n" if is_status else b""
        with raw_server(saying(beginning + said)) as port:
            answer = ask(f"http://127.0.0.1:{port}/", http.probe)
        assert answer.outcome in ("ok", "protocol", "bad_status", "not_authorised")
