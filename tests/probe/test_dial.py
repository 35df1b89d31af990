"""The way to a target: each failure has its outcome, and no attempt outlives its deadline."""

from __future__ import annotations

import socket

import pytest
from probe_peers import Ask, Certificates, closed_port, dripping, encrypted, raw_server, until_end

from streamlab_plugin.probe import http
from streamlab_plugin.probe.attempt import Attempt
from streamlab_plugin.probe.dial import dial


def knock(one: Attempt) -> None:
    """Only connect."""
    dial(one)


class TestDial:
    """`dial`, as every probe uses it."""

    def test_ok(self, ask: Ask, http_port: int) -> None:
        """Name, TCP and total are measured."""
        answer = ask(f"http://localhost:{http_port}", knock)
        assert ("ok", ["dns", "tcp", "total"]) == (answer.outcome, list(answer.timings_ms))
        assert all(value >= 0 for value in answer.timings_ms.values())

    def test_an_unknown_name(self, ask: Ask) -> None:
        """A name that does not resolve is `unresolved`; `.invalid` never does (RFC 2606)."""
        answer = ask("http://nowhere.invalid", knock)
        assert "unresolved" == answer.outcome
        assert "nowhere.invalid" in answer.reason

    def test_a_closed_port(self, ask: Ask) -> None:
        """Nobody listens: `refused`, and what was reached is measured."""
        answer = ask(f"http://127.0.0.1:{closed_port()}", knock)
        assert ("refused", ["dns", "total"]) == (answer.outcome, list(answer.timings_ms))

    def test_a_silent_listener(self, ask: Ask) -> None:
        """Somebody accepts and says nothing: `timeout`, with the phase."""
        with raw_server(until_end) as port:
            answer = ask(f"https://127.0.0.1:{port}", knock, timeout_s=0.2)
        assert ("timeout", "no answer within 0.2 s, in phase tls") == (answer.outcome, answer.reason)


class TestTls:
    """Certificates, as every encrypted probe judges them."""

    def test_trusted(self, ask: Ask, trusted: Certificates) -> None:
        """A certificate of an authority named by SSL_CERT_FILE is good."""
        with raw_server(encrypted(trusted.server())) as port:
            answer = ask(f"https://127.0.0.1:{port}", knock)
        assert ("ok", "TLSv1.3") == (answer.outcome, answer.facts["tls_version"])
        assert ["dns", "tcp", "tls", "total"] == list(answer.timings_ms)

    def test_an_unknown_authority(self, ask: Ask, certificates: Certificates) -> None:
        """Without that it is not, and the text says what to do."""
        with raw_server(encrypted(certificates.server())) as port:
            answer = ask(f"https://127.0.0.1:{port}", knock)
        assert "tls" == answer.outcome
        assert "SSL_CERT_FILE" in answer.reason

    def test_no_tls_at_all(self, ask: Ask, http_port: int) -> None:
        """A plain server on the port is named as such."""
        answer = ask(f"https://127.0.0.1:{http_port}", knock)
        assert ("tls", "what answers on this port does not speak TLS") == (answer.outcome, answer.reason)

    def test_closed_in_the_handshake(self, ask: Ask) -> None:
        """A connection that is closed in the handshake is `tls`, too."""
        with raw_server(lambda connection: None) as port:
            answer = ask(f"https://127.0.0.1:{port}", knock)
        assert ("tls", "the connection was closed during the TLS handshake") == (
            answer.outcome,
            answer.reason,
        )


class TestDeadline:
    """An attempt ends at its deadline, however busy the target is."""

    @pytest.mark.parametrize("is_encrypted", [False, True])
    def test_dripping(self, ask: Ask, trusted: Certificates, is_encrypted: bool) -> None:
        """A target that sends byte by byte is cut off: no single read ever times out."""
        context = trusted.server()

        def drip(connection: socket.socket) -> None:
            if is_encrypted:
                with context.wrap_socket(connection, server_side=True) as secure:
                    dripping(b"H")(secure)
            dripping(b"H")(connection)

        with raw_server(drip) as port:
            answer = ask(f"http{'s' * is_encrypted}://127.0.0.1:{port}", http.probe, timeout_s=0.5)
        assert ("timeout", "no answer within 0.5 s, in phase first_byte") == (answer.outcome, answer.reason)
