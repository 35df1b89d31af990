"""A request that is under way on a WebSocket connection."""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING, Any

from gevent.hub import Waiter

from streamlab_plugin.users.connection import ConnectionClosedError

if TYPE_CHECKING:
    from streamlab_plugin.users.injector import Strike


class Flight:
    """A request between its send and its end; times are `perf_counter` readings.

    It ends with a reply (``raw`` is set), with the loss of the connection (``error`` is set), or with
    neither: timed out or interrupted.
    """

    __slots__ = ("arrived", "correlation_id", "error", "name", "raw", "reply", "started", "strike", "waiter")

    def __init__(self, name: str, correlation_id: Any, hub: Any) -> None:
        self.name = name
        self.correlation_id = correlation_id
        self.waiter: Any = Waiter(hub)
        self.started = perf_counter()
        self.arrived = 0.0
        self.reply: Any = None
        self.raw: bytes | None = None
        self.error: ConnectionClosedError | None = None
        self.strike: Strike | None = None  # the injected fault that touched it
