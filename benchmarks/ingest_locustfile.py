"""Users that fire request events by the clock, as fast as BENCH_RATE says; no target takes part.

BENCH_PAYLOAD chooses what they fire: plain events, as a user of Locust's own fires them, or those of a
Streamlab user with a twelve-field message. When the test stops, what this process saw goes to ``fired.json``.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from itertools import count, cycle
from pathlib import Path
from typing import Any

import gevent
from locust import User, task
from locust import events as locust_events

from benchmarks import traffic
from streamlab_plugin import install
from streamlab_plugin.core.record import Detail

events: Any = locust_events

USERS = 20
BURST = 50
RATE = int(os.environ["BENCH_RATE"])
# As many as the recorder's memory of pseudonyms does not hold: each of their ids costs a hash again.
MESSAGES = 30_000
PERIOD_S = USERS * BURST / RATE


class Seen:
    """What happened in this process; times are epoch seconds, ``cpu_s`` is processor time."""

    fired = 0
    first_at: float | None = None
    cpu_s = 0.0


def begin(**_arguments: Any) -> None:
    """Start the stopwatch."""
    Seen.cpu_s = -time.process_time()


def stop(environment: Any, **_arguments: Any) -> None:
    """Write down what was fired until now."""
    total = environment.stats.total.num_requests
    seen = {"fired": total, "first_at": Seen.first_at, "stopped_at": time.time()}
    Path("fired.json").write_text(json.dumps({**seen, "cpu_s": Seen.cpu_s + time.process_time()}))


events.test_start.add_listener(begin)
events.test_stopping.add_listener(stop)
install()


class Response:
    """What a listener may look at in an answer."""

    status_code = 200


def plain_events() -> Iterator[tuple[dict[str, Any], Detail | None]]:
    """Yield requests as Locust's own HTTP users fire them."""
    response = Response()
    for number, latency_ms in enumerate(traffic.latencies_ms(1_000)):
        event = {
            "request_type": "GET", "name": traffic.NAMES[number % len(traffic.NAMES)],
            "response_time": latency_ms, "response_length": 300, "response": response,
            "context": {}, "exception": None, "url": "http://127.0.0.1/api",
        }  # fmt: skip
        yield event, None


def payload_events() -> Iterator[tuple[dict[str, Any], Detail | None]]:
    """Yield requests as Streamlab's users fire them."""
    times = traffic.latencies_ms(MESSAGES)
    for number, (correlation_id, payload) in enumerate(traffic.messages(MESSAGES)):
        event = {
            "request_type": "WS", "name": traffic.NAMES[number % len(traffic.NAMES)],
            "response_time": times[number], "response_length": len(payload), "response": None,
            "context": {}, "exception": None,
        }  # fmt: skip
        yield (
            event,
            Detail(
                "websocket", "request", "out", "DeviceUser", None, None, payload, None, None, correlation_id
            ),
        )


prepared = list(payload_events() if os.environ["BENCH_PAYLOAD"] == "1" else plain_events())
turns = count()
following: Callable[[], tuple[dict[str, Any], Detail | None]] = cycle(prepared).__next__


class Firing(User):
    """Fires a burst each period; after a delay it catches up, so the load that is offered stays the same."""

    _due = 0.0

    def on_start(self) -> None:
        """Take turns with the others."""
        if Seen.first_at is None:
            Seen.first_at = time.time()
        self._due = time.perf_counter() + PERIOD_S * next(turns) / USERS

    @task
    def fire(self) -> None:
        """Fire one burst when it is due."""
        gevent.sleep(max(0.0, self._due - time.perf_counter()))
        self._due += PERIOD_S
        hook = self.environment.events.request
        now = time.time()
        for _request in range(BURST):
            event, detail = following()
            if detail is None:
                hook.fire(start_time=now, **event)
            else:
                hook.fire(start_time=now, streamlab=detail, **event)
