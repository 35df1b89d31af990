"""Places and a small HTTP server for the end-to-end tests."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from harness import Place


class Handler(BaseHTTPRequestHandler):
    """Answer ``/500…`` with that status and everything else with 200, with a small JSON body."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Answer and remember."""
        server: Any = self.server
        server.seen.append(self.path)
        first = self.path.split("?")[0].strip("/").split("/")[0]
        status = int(first) if first.isdecimal() else 200
        body = b'{"status": "ok"}'
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments: Any) -> None:
        """Stay quiet."""


class Server(ThreadingHTTPServer):
    """A server that remembers the paths it saw."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.seen: list[str] = []

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, *_arguments: Any) -> None:
        """A client that is killed in mid-request is no error here."""


@pytest.fixture
def server() -> Iterator[Server]:
    """Return a running server."""
    one = Server()
    thread = threading.Thread(target=one.serve_forever, daemon=True)
    thread.start()
    yield one
    one.shutdown()
    one.server_close()


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """Return a place for one run."""
    return Place(tmp_path)
