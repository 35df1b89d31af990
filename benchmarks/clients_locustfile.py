"""Clients that stay connected: BENCH_PROTOCOL chooses which, BENCH_PERIOD_S how often each says something.

With the period 0 they are idle. When all are connected they are held for BENCH_HOLD_S, then the test ends;
what this process saw goes to ``held.json``.
"""

from __future__ import annotations

import gc
import json
import os
import random
import time
from pathlib import Path
from typing import Any

import gevent
import psutil
from locust import User, task
from locust import events as locust_events

from streamlab_plugin import HttpUser, MqttUser, WebSocketUser, install

events: Any = locust_events

PROTOCOL = os.environ["BENCH_PROTOCOL"]
PERIOD_S = float(os.environ["BENCH_PERIOD_S"])
HOLD_S = float(os.environ["BENCH_HOLD_S"])
# Longer than any measurement: an idle client's task never comes to its end.
IDLE_S = 3_600.0
# After that the records of all connects are stored, and what they needed has been given back.
SETTLE_S = 3.0
# At the peer's connections; with thousands of them a look takes milliseconds.
LOOK_EVERY_S = 5.0

peer = psutil.Process(int(os.environ["BENCH_PEER"]))

install()


class Seen:
    """What happened in this process."""

    tried = 0
    connected = 0
    rss_before = 0
    descriptors_before = 0  # of the peer


def resident() -> int:
    """Return the memory of this process in bytes, without what only waits to be collected."""
    gc.collect()
    return psutil.Process().memory_info().rss


def begin(environment: Any, **_arguments: Any) -> None:
    """Take note of how it is without a user; hold all clients once they have tried to connect."""
    Seen.rss_before, Seen.descriptors_before = resident(), peer.num_fds()
    gevent.spawn(hold, environment)


def hold(environment: Any) -> None:
    """Measure while nothing changes, and end the test."""
    while Seen.tried < environment.parsed_options.num_users:
        gevent.sleep(0.1)
    gevent.sleep(min(SETTLE_S, HOLD_S))
    requests = environment.stats.total.num_requests
    began, used_s = time.time(), time.process_time()
    least = peer.num_fds()
    while time.time() < began + HOLD_S:
        gevent.sleep(min(LOOK_EVERY_S, HOLD_S))
        least = min(least, peer.num_fds())
    ended, used_s = time.time(), time.process_time() - used_s
    seen = {
        "connected": Seen.connected,
        "least_at_peer": least - Seen.descriptors_before,
        "messages": environment.stats.total.num_requests - requests,
        "began": began,
        "ended": ended,
        "cpu_s": used_s,
        "rss_before": Seen.rss_before,
        "rss_after": resident(),
    }
    Path("held.json").write_text(json.dumps(seen))
    environment.runner.quit()


events.test_start.add_listener(begin)


class Client(User):
    """What all have in common."""

    abstract = True
    _due = 0.0

    def on_start(self) -> None:
        """Connect, and begin at a random moment of the period."""
        is_connected = self.connect()  # gives way: others count meanwhile
        Seen.connected += is_connected
        Seen.tried += 1
        self._due = time.perf_counter() + random.random() * PERIOD_S
        self.wait()

    def wait_time(self) -> float:
        """Keep to moments of its own; with `constant_pacing` all that a delay has met would go together."""
        wait_s = max(0.0, self._due - time.perf_counter())
        self._due += PERIOD_S or IDLE_S
        return wait_s

    def connect(self) -> bool:
        """Be there."""
        return True

    def say(self) -> None:
        """Say nothing."""

    @task
    def speak(self) -> None:
        """Say something, unless idle."""
        if PERIOD_S:
            self.say()


if PROTOCOL == "mqtt":

    class MqttBenchClient(Client, MqttUser):
        """Publishes a small message and waits for its acknowledgement."""

        connect = MqttUser.connect

        def say(self) -> None:
            """Publish once."""
            self.publish("bench/clients", {"type": "heartbeat", "battery": 80, "status": "ok"}, 1, "request")

elif PROTOCOL == "websocket":

    class WebSocketBenchClient(Client, WebSocketUser):
        """Asks and waits for the reply; the target sends back what it gets."""

        ws_path = "/ws"
        connect = WebSocketUser.connect

        def say(self) -> None:
            """Ask once."""
            self.request({"type": "heartbeat", "battery": 80, "status": "ok"}, "request")

elif PROTOCOL == "http":

    class HttpBenchClient(Client, HttpUser):
        """Asks for a small JSON answer."""

        def say(self) -> None:
            """Ask once."""
            self.client.get("/", name="request")

else:

    class BareBenchClient(Client):
        """A user of Locust's without any connection: what every client costs before it is one."""
