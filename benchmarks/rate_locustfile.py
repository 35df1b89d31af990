"""Users without wait time, with and without recording; BENCH_VARIANT and BENCH_PROTOCOL choose."""

from __future__ import annotations

import os
from typing import Any

from locust import FastHttpUser, task
from locust import events as locust_events
from locust.contrib.csv_request_logger import CsvRequestLogger

from benchmarks.stopwatch import Stopwatch
from streamlab_plugin import WebSocketUser, install

events: Any = locust_events
Stopwatch.install(events)

if os.environ["BENCH_VARIANT"] == "streamlab":
    install()
elif os.environ["BENCH_VARIANT"] == "csv":

    def register(environment: Any, **_arguments: Any) -> None:
        """Switch Locust's own request logger on."""
        CsvRequestLogger("requests.csv", flush_interval=1).register(environment)

    events.init.add_listener(register)


if os.environ["BENCH_PROTOCOL"] == "http":

    class HttpBenchUser(FastHttpUser):
        """Locust's own fast HTTP user."""

        @task
        def fetch(self) -> None:
            """Ask once."""
            self.client.get("/api/items", name="request")

else:

    class WebSocketBenchUser(WebSocketUser):
        """Requests with a reply; the target sends back what it gets."""

        ws_path = "/ws"

        @task
        def ask(self) -> None:
            """Ask once."""
            self.request({"type": "heartbeat", "seq": 1, "battery": 80, "status": "ok"}, name="request")
