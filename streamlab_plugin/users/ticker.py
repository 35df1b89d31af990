"""One heartbeat per environment for all MQTT sessions: thousands of clients must not mean as many timers."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter
from typing import Any

import gevent

_INTERVAL_S = 1.0
# So many sessions, then a breath: without it thousands of them would hold up whoever waits for an answer.
# A sleep of 0 is no breath: gevent looks at its sockets only when 5 ms are over.
_BREATH = 50
_BREATH_S = 0.001


class Ticker:
    """Call each member once a second with the `perf_counter` reading; one that returns False leaves."""

    def __init__(self) -> None:
        self._members: set[Callable[[float], bool]] = set()
        self._greenlet: gevent.Greenlet[..., None] | None = None

    def add(self, member: Callable[[float], bool]) -> None:
        """Start calling *member*."""
        self._members.add(member)
        if self._greenlet is None:
            self._greenlet = gevent.spawn(self._run)

    def _run(self) -> None:
        while self._members:
            gevent.sleep(_INTERVAL_S)
            for count, member in enumerate(tuple(self._members), 1):
                if not member(perf_counter()):
                    self._members.discard(member)
                if count % _BREATH == 0:
                    gevent.sleep(_BREATH_S)
        self._greenlet = None


def of(environment: Any) -> Ticker:
    """Return the ticker of a Locust environment; made on first use."""
    ticker: Ticker | None = getattr(environment, "streamlab_ticker", None)
    if ticker is None:
        ticker = environment.streamlab_ticker = Ticker()
    return ticker
