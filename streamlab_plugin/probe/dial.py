"""The way to a target: its name, TCP, TLS; each failure with its own outcome and words."""

from __future__ import annotations

import os
import socket
import ssl
import threading
from typing import Any

from streamlab_plugin.probe.address import Address
from streamlab_plugin.probe.answer import REFUSED, TLS, UNRESOLVED, Failure
from streamlab_plugin.probe.attempt import Attempt

# Verification results of OpenSSL (x509_vfy.h).
_NOT_YET_VALID, _EXPIRED = 9, 10
_SELF_SIGNED, _SELF_SIGNED_IN_CHAIN = 18, 19
_UNKNOWN_ISSUER = (2, 20, 21)
WRONG_HOST = (62, 64)

_OTHER_VERSION = ("UNSUPPORTED_PROTOCOL", "ALERT_PROTOCOL_VERSION", "NO_PROTOCOLS_AVAILABLE")
_NO_TLS = ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "HTTP_REQUEST", "PACKET_LENGTH_TOO_LONG")


class UntrustedError(Failure):
    """The certificate of *host* is no good; *code* is OpenSSL's result of the verification."""

    def __init__(self, error: ssl.SSLCertVerificationError, host: str) -> None:
        super().__init__(TLS, _certificate_problem(error, host))
        self.code = error.verify_code


def dial(attempt: Attempt) -> socket.socket:
    """Connect, with TLS where the scheme asks for it; the connection is closed with the attempt.

    Raises:
        Failure: the name, the connection or the certificate is no good.
        TimeoutError: it took too long.
    """
    connection = dial_tcp(attempt)
    if attempt.address.is_encrypted:
        connection = encrypt(attempt, connection, client_context())
    attempt.keep(connection)
    return connection


def client_context() -> ssl.SSLContext:
    """Return a context that checks certificates; TLS 1.2 or newer, also where Python was built otherwise."""
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def dial_tcp(attempt: Attempt) -> socket.socket:
    """Resolve the name and connect; whoever calls keeps the connection."""
    address = attempt.address
    with attempt.phase("dns"):
        found = _look_up(address, attempt.remaining_s())
    with attempt.phase("tcp"):
        return _connect(found, attempt)


def encrypt(attempt: Attempt, connection: socket.socket, context: ssl.SSLContext) -> ssl.SSLSocket:
    """Shake hands for TLS; on failure the connection is closed.

    Raises:
        Failure: with outcome ``tls``.
        TimeoutError: it took too long.
    """
    host = attempt.address.host
    try:
        with attempt.phase("tls"):
            connection.settimeout(attempt.remaining_s())
            encrypted = context.wrap_socket(connection, server_hostname=host)
    except TimeoutError:
        connection.close()
        raise
    except ssl.SSLCertVerificationError as error:
        connection.close()
        raise UntrustedError(error, host) from None
    except (OSError, ValueError) as error:
        connection.close()
        raise Failure(TLS, _handshake_problem(error)) from None
    attempt.facts["tls_version"] = encrypted.version() or ""
    return encrypted


def _certificate_problem(error: ssl.SSLCertVerificationError, host: str) -> str:
    """Return in words why the certificate of *host* is not trusted."""
    code = error.verify_code
    if code == _EXPIRED:
        return "the certificate has expired"
    if code == _NOT_YET_VALID:
        return "the certificate is not valid yet"
    if code == _SELF_SIGNED:
        return "the certificate is self-signed; name it or its authority in SSL_CERT_FILE to trust it"
    if code == _SELF_SIGNED_IN_CHAIN or code in _UNKNOWN_ISSUER:
        return "the certificate's authority is not known here; name its file in SSL_CERT_FILE to trust it"
    if code in WRONG_HOST:
        return f"the certificate is not made for the host {host}"
    return f"the certificate is not valid ({error.verify_message})"


def _handshake_problem(error: Exception) -> str:
    reason = getattr(error, "reason", None) or ""
    if any(word in reason for word in _OTHER_VERSION):
        return "the server offers no version of TLS from 1.2 on"
    if any(word in reason for word in _NO_TLS):
        return "what answers on this port does not speak TLS"
    if isinstance(error, (ConnectionError, ssl.SSLEOFError, ssl.SSLZeroReturnError)):
        return "the connection was closed during the TLS handshake"
    return f"the TLS handshake failed ({reason.lower().replace('_', ' ') or type(error).__name__})"


def _look_up(address: Address, timeout_s: float) -> list[Any]:
    """Ask for the host's addresses in a thread: the system's resolver has no time-out of ours."""
    found: list[Any] = []
    problem: list[Exception] = []

    def ask() -> None:
        try:
            found.extend(socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM))
        except (OSError, UnicodeError) as error:
            problem.append(error)

    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(timeout_s)
    if problem:
        words = getattr(problem[0], "strerror", None) or "no name"
        raise Failure(UNRESOLVED, f"the name {address.host} cannot be resolved ({words})")
    if not found:
        raise TimeoutError
    return found


def _connect(found: list[Any], attempt: Attempt) -> socket.socket:
    """Connect to the first address that answers; each gets its share of the time that is left."""
    problem: OSError | None = None
    for number, (family, kind, protocol, _name, place) in enumerate(found):
        connection = None
        try:
            connection = socket.socket(family, kind, protocol)
            connection.settimeout(attempt.remaining_s() / (len(found) - number))
            connection.connect(place)
        except OSError as error:
            problem = error
            if connection is not None:
                connection.close()
        else:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return connection
    assert problem is not None
    if isinstance(problem, TimeoutError):
        raise problem
    place = attempt.address.place
    if isinstance(problem, ConnectionRefusedError):
        raise Failure(REFUSED, f"nothing listens on {place}")
    words = os.strerror(problem.errno) if problem.errno else type(problem).__name__
    raise Failure(REFUSED, f"there is no connection to {place} ({words})")
