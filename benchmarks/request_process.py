"""One Locust process that fires request events and says what one cost it.

``python -m benchmarks.request_process VARIANT COUNT``, one variant per process; prints JSON. ``plain`` and
``timescale`` run where only Locust and locust-plugins are installed.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from typing import Any

import gevent
from locust import User, constant, task
from locust.argument_parser import parse_options
from locust.contrib.csv_request_logger import CsvRequestLogger
from locust.env import Environment

from benchmarks import traffic

BURST = 100
# About 35,000 requests/s: more than a Locust process makes, and less than its recorder can take.
PAUSE_S = 0.002

# Arguments of the event, and what only a Streamlab user knows of it.
Event = tuple[dict[str, Any], str, bytes]


class Idle(User):
    """Locust wants a user class; none is started."""

    wait_time = constant(1)

    @task
    def nothing(self) -> None:
        """Do nothing."""


class Response:
    """What a listener may look at in an answer."""

    status_code = 200


def main() -> None:
    """Fire, drain, print."""
    variant, count = sys.argv[1], int(sys.argv[2])
    environment = Environment(user_classes=[Idle])
    environment.create_local_runner()
    _switch_on(variant, environment)
    events: Any = environment.events
    bursts = list(_bursts())
    fire = _fire_with_payload if variant == "payload" else _fire
    events.test_start.fire(environment=environment)
    gevent.sleep(0.2)  # what starts settles outside the measurement
    before = time.process_time()
    for number in range(count // BURST):
        fire(events.request, bursts[number % len(bursts)])
        gevent.sleep(PAUSE_S)
    events.test_stop.fire(environment=environment)
    events.quitting.fire(environment=environment, reverse=True)
    events.quit.fire(exit_code=0)
    cost_us = (time.process_time() - before) * 1e6 / count
    print(json.dumps({"cost_us": cost_us, "fired": environment.stats.total.num_requests}))


def _switch_on(variant: str, environment: Environment) -> None:
    if variant == "csv":
        CsvRequestLogger("requests.csv", flush_interval=1).register(environment)
    elif variant == "timescale":
        from locust_plugins.listeners.timescale import Timescale  # type: ignore[import-not-found]

        environment.parsed_options = parse_options([])
        Timescale(environment)
    elif variant != "plain":
        from streamlab_plugin import install

        install(environment)


def _bursts() -> Iterator[list[Event]]:
    """Yield ten bursts of request events with the messages they carry."""
    response, times = Response(), traffic.latencies_ms(10 * BURST)
    events: list[Event] = [
        (
            {
                "request_type": "GET", "name": traffic.NAMES[number % len(traffic.NAMES)],
                "response_time": times[number], "response_length": len(payload), "response": response,
                "context": {}, "exception": None, "url": "http://127.0.0.1/api",
            },
            correlation_id,
            payload,
        )
        for number, (correlation_id, payload) in enumerate(traffic.messages(10 * BURST))
    ]  # fmt: skip
    for start in range(0, len(events), BURST):
        yield events[start : start + BURST]


def _fire(hook: Any, burst: list[Event]) -> None:
    for event, _correlation_id, _payload in burst:
        hook.fire(start_time=time.time(), **event)


def _fire_with_payload(hook: Any, burst: list[Event]) -> None:
    """Fire as a Streamlab user does; making the detail is part of the cost."""
    from streamlab_plugin.core.record import Detail

    for event, correlation_id, payload in burst:
        detail = Detail(
            "websocket", "request", "out", "DeviceUser", None, None, payload, None, None, correlation_id
        )
        hook.fire(start_time=time.time(), streamlab=detail, **event)


if __name__ == "__main__":
    main()
