"""What a WebSocket user has under way: requests in flight, and the connection that carries them."""

from __future__ import annotations

from time import perf_counter
from typing import Any

import gevent
from gevent.hub import Waiter

from streamlab_plugin.users.connection import Connection, ConnectionClosedError

# Late replies that are recognised as such (ids per connection); older ones would count as pushes.
_ABANDONED_LIMIT = 1_000


class Flight:
    """A request between its send and its end; times are `perf_counter` readings.

    It ends with a reply (``raw`` is set), with the loss of the connection (``error`` is set), or with
    neither: timed out or interrupted.
    """

    __slots__ = ("arrived", "correlation_id", "error", "name", "raw", "reply", "started", "waiter")

    def __init__(self, name: str, correlation_id: Any, hub: Any) -> None:
        self.name = name
        self.correlation_id = correlation_id
        self.waiter: Any = Waiter(hub)
        self.started = perf_counter()
        self.arrived = 0.0
        self.reply: Any = None
        self.raw: bytes | None = None
        self.error: ConnectionClosedError | None = None


class Link:
    """A connection, the greenlet that reads it, and what is in flight on it."""

    reader: gevent.Greenlet[..., None]

    def __init__(self, url: str, name: str) -> None:
        self.url = url
        self.name = name
        self.connection = Connection()
        self.waiter: Any = Waiter()
        self.started = perf_counter()
        self.opened = 0.0  # end of the handshake, also of a failed one; 0 before
        self.failure: Exception | None = None
        self.is_settled = False  # whether the connect has its row
        self.closing = 0.0  # when we began to close; 0 before
        self.gave_up = False  # the server never said goodbye
        self.in_hook = False
        self.flights: dict[Any, Flight] = {}
        self.abandoned: dict[Any, None] = {}

    def abandon(self, correlation_id: Any) -> None:
        """Remember that a reply to *correlation_id* is no push."""
        self.abandoned[correlation_id] = None
        if len(self.abandoned) > _ABANDONED_LIMIT:
            del self.abandoned[next(iter(self.abandoned))]

    def close(self, code: int) -> None:
        """Send the close frame; the reader sees the rest."""
        if not self.closing:
            self.closing = perf_counter()
        self.connection.send_close(code)

    def give_up(self) -> None:
        """Stop waiting for the server's goodbye."""
        self.gave_up = True
        self.connection.abort()
        self.reader.kill()
