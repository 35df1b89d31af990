"""Ports for servers of the tests."""

from __future__ import annotations

import random
import socket
from contextlib import ExitStack


def free_ports(count: int) -> int:
    """Return the first of *count* neighbouring ports that are free.

    They are below those that clients get: who calls such a port while nobody listens may reach himself.
    """
    while True:
        port = random.randrange(10_000, 30_000)
        with ExitStack() as stack:
            try:
                for number in range(count):
                    stack.enter_context(socket.socket()).bind(("127.0.0.1", port + number))
            except OSError:
                continue
            return port


def connect_until_up(port: int) -> None:
    """Return once somebody listens on *port*."""
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except ConnectionRefusedError:
            continue
        return
