"""A peer that takes the orders of commands as a recorder would, over the real socket, and remembers them."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest

from streamlab_plugin.link.message import Order, OrderDone, Progress, Refused
from streamlab_plugin.link.place import socket_path
from streamlab_plugin.link.server import Server
from streamlab_plugin.store.url import fingerprint


class OrderTaker:
    """Answer every order from *answers* (its name → result); any other one is refused."""

    def __init__(self, path: Path, answers: Mapping[str, Any]) -> None:
        self.orders: list[tuple[str, dict[str, Any]]] = []
        self._answers = answers
        self._server = Server(path)
        self._is_over = Event()
        self._thread = Thread(target=self._serve)
        self._thread.start()

    def close(self) -> None:
        """Go away."""
        self._is_over.set()
        self._thread.join()
        self._server.stop_listening()

    def _serve(self) -> None:
        while not self._is_over.is_set():
            for connection, message in self._server.poll(0.02):
                if isinstance(message, Order):
                    self.orders.append((message.name, json.loads(message.arguments)))
                    if message.name not in self._answers:
                        connection.send(Refused(f"the recorder knows no order {message.name!r}", 2))
                        continue
                    connection.send(Progress("working on it"))
                    connection.send(OrderDone(json.dumps(self._answers[message.name]).encode()))


@contextmanager
def taking_orders(
    monkeypatch: pytest.MonkeyPatch, url: str, answers: Mapping[str, Any]
) -> Iterator[OrderTaker]:
    """Serve the database *url* on this host, in a runtime folder of its own, and configure it."""
    # A socket's path has to be short.
    runtime = tempfile.mkdtemp(prefix="sl-", dir="/tmp")
    monkeypatch.setenv("XDG_RUNTIME_DIR", runtime)
    monkeypatch.setenv("STREAMLAB_DATABASE_URL", url)
    taker = OrderTaker(socket_path(fingerprint(url)), answers)
    try:
        yield taker
    finally:
        taker.close()
        shutil.rmtree(runtime)
