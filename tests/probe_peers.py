"""Peers that behave, and some that do not: each runs in threads of the test and ends with it."""

from __future__ import annotations

import contextlib
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import trustme
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.sync.server import ServerConnection, serve

from streamlab_plugin.probe.answer import Answer

Ask = Callable[..., Answer]
MOSQUITTO = "/usr/sbin/mosquitto"
USER, PASSWORD = "probe", "correct horse"


@contextlib.contextmanager
def raw_server(converse: Callable[[socket.socket], None]) -> Iterator[int]:
    """Accept connections on a port, give each to *converse*, and close it; yield the port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def accept() -> None:
            while True:
                try:
                    connection, _place = listener.accept()
                except OSError:
                    return
                threading.Thread(target=serve_one, args=[connection], daemon=True).start()

        def serve_one(connection: socket.socket) -> None:
            with connection, contextlib.suppress(OSError):
                converse(connection)

        threading.Thread(target=accept, daemon=True).start()
        yield int(listener.getsockname()[1])
        listener.shutdown(socket.SHUT_RDWR)


def until_end(connection: socket.socket) -> None:
    """Read until the other side closes."""
    while connection.recv(65_536):
        pass


def saying(*parts: bytes) -> Callable[[socket.socket], None]:
    """Return a conversation: after the first bytes have come, say *parts* and close."""

    def converse(connection: socket.socket) -> None:
        connection.recv(65_536)
        for part in parts:
            connection.sendall(part)

    return converse


def dripping(part: bytes) -> Callable[[socket.socket], None]:
    """Return a conversation that never ends: *part*, again and again, long before any read times out."""

    def converse(connection: socket.socket) -> None:
        connection.recv(65_536)
        stopped = threading.Event()
        while not stopped.wait(0.02):
            connection.sendall(part)

    return converse


class Certificates:
    """An authority and the certificates that it made for 127.0.0.1 and localhost, good and bad."""

    def __init__(self, folder: Path) -> None:
        self._authority = trustme.CA()
        self.file = folder / "authority.pem"
        self._authority.cert_pem.write_to_path(str(self.file))

    def issue(self, host: str = "127.0.0.1", days_left: float = 90) -> trustme.LeafCert:
        """Return a certificate for *host*."""
        now = datetime.now(UTC)
        begins, ends = now - timedelta(days=400), now + timedelta(days=days_left)
        return self._authority.issue_cert(host, not_before=begins, not_after=ends)

    def server(self, host: str = "127.0.0.1", days_left: float = 90) -> ssl.SSLContext:
        """Return a server's context with a certificate for *host*."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.issue(host, days_left).configure_cert(context)
        return context

    def self_signed(self, folder: Path) -> ssl.SSLContext:
        """Return a server's context whose certificate nobody but itself has signed."""
        alone = trustme.CA()
        path = folder / "self.pem"
        alone.private_key_pem.write_to_path(str(path))
        alone.cert_pem.write_to_path(str(path), append=True)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        return context


def encrypted(context: ssl.SSLContext) -> Callable[[socket.socket], None]:
    """Return a conversation that shakes hands for TLS and listens."""

    def converse(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as secure:
            until_end(secure)

    return converse


@contextlib.contextmanager
def websocket_server(context: ssl.SSLContext | None = None) -> Iterator[int]:
    """A server of the websockets library that echoes.

    ``/refuse/STATUS`` refuses the handshake, ``/close/CODE`` closes at once, ``/mute`` never replies,
    ``/chatty`` speaks first.
    """

    def answer(connection: ServerConnection, request: Request) -> Response | None:
        _empty, what, *rest = request.path.partition("?")[0].split("/")
        if what != "refuse":
            return None
        response = connection.respond(int(rest[0]), "secret words of the server")  # type: ignore[arg-type]
        response.headers["Location"] = "/elsewhere"
        return response

    def talk(connection: ServerConnection) -> None:
        assert connection.request is not None
        _empty, what, *rest = connection.request.path.partition("?")[0].split("/")
        with contextlib.suppress(ConnectionClosed):
            if what == "close":
                connection.close(int(rest[0]), "secret words of the server")
            if what == "chatty":
                connection.send("a push of the server's own")
            for message in connection:
                if what != "mute":
                    connection.send(message)

    with serve(talk, "127.0.0.1", 0, process_request=answer, ssl=context) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield int(server.socket.getsockname()[1])
        server.shutdown()


class Handler(BaseHTTPRequestHandler):
    """Answer ``/STATUS`` with this status and a small body; ``/basic`` wants user and password."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Answer."""
        what = self.path.partition("?")[0].strip("/")
        status = int(what) if what.isdecimal() else 200
        if what == "basic":
            status = 200 if self.headers["Authorization"] == "Basic cHJvYmU6YSBiOmM=" else 401
        body = b"x" * 1000
        self.send_response(status, "secret words of the server")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments: Any) -> None:
        """Say nothing."""


@contextlib.contextmanager
def http_server(context: ssl.SSLContext | None = None) -> Iterator[int]:
    """The standard library's HTTP server."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield int(server.server_address[1])
    server.shutdown()
    thread.join()
    server.server_close()


def closed_port() -> int:
    """Return a port on which nobody listens."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@contextlib.contextmanager
def mosquitto(folder: Path, certificates: Certificates) -> Iterator[tuple[int, int, int]]:
    """A mosquitto: ports for everybody, for `USER` with `PASSWORD` only, and for everybody with TLS.

    With a password one may use ``free/#`` only.
    """
    certificate = certificates.issue()
    certificate.private_key_pem.write_to_path(str(folder / "key.pem"))
    certificate.cert_chain_pems[0].write_to_path(str(folder / "cert.pem"))
    (folder / "passwords").touch(mode=0o600)
    subprocess.run(["mosquitto_passwd", "-b", folder / "passwords", USER, PASSWORD], check=True)
    (folder / "acl").write_text(f"user {USER}\ntopic readwrite free/#\n")
    ports = closed_port(), closed_port(), closed_port()
    (folder / "mosquitto.conf").write_text(
        "per_listener_settings true\npersistence false\nlog_type none\nuser root\n"
        f"listener {ports[0]} 127.0.0.1\nallow_anonymous true\n"
        f"listener {ports[1]} 127.0.0.1\nallow_anonymous false\npassword_file {folder}/passwords\n"
        f"acl_file {folder}/acl\n"
        f"listener {ports[2]} 127.0.0.1\nallow_anonymous true\n"
        f"certfile {folder}/cert.pem\nkeyfile {folder}/key.pem\n"
    )
    with subprocess.Popen([MOSQUITTO, "-c", folder / "mosquitto.conf"], stderr=subprocess.DEVNULL) as process:
        try:
            while process.poll() is None:
                with contextlib.suppress(ConnectionRefusedError):
                    socket.create_connection(("127.0.0.1", ports[2]), timeout=1).close()
                    break
            assert process.poll() is None, "the broker did not start"
            yield ports
        finally:
            process.terminate()
