"""MQTT users that publish with QoS 1 and wait for the acknowledgement, without wait time.

BENCH_VARIANT chooses Streamlab's `MqttUser`, recorded, or Locust's own, unrecorded: ``plain`` as it is, or
``selectors``, its way past 340 clients. All publish the same messages of twelve fields.
"""

from __future__ import annotations

import os
from itertools import cycle
from typing import Any
from urllib.parse import urlsplit

import gevent
from locust import events as locust_events
from locust import task
from locust.contrib.mqtt import MqttUser as LocustMqttUser

from benchmarks import traffic
from benchmarks.stopwatch import Stopwatch
from streamlab_plugin import MqttUser, install

events: Any = locust_events

TOPIC = "bench/telemetry"
VARIANT = os.environ["BENCH_VARIANT"]

message = cycle([payload for _id, payload in traffic.messages(1_000)]).__next__
Stopwatch.install(events)

if VARIANT == "streamlab":
    install()

    class StreamlabDevice(MqttUser):
        """Streamlab's user."""

        @task
        def measure(self) -> None:
            """Publish once."""
            self.publish(TOPIC, message(), qos=1, name="publish")

else:

    class LocustDevice(LocustMqttUser):
        """Locust's own user."""

        use_loop_selectors = VARIANT == "selectors"

        def __init__(self, environment: Any) -> None:
            address = urlsplit(str(environment.host))
            self.host, self.port = address.hostname, address.port
            super().__init__(environment)

        def on_start(self) -> None:
            """Wait for the connection, which a thread of the client opens."""
            while not self.client.is_connected():
                gevent.sleep(0.01)

        @task
        def measure(self) -> None:
            """Publish once."""
            self.client.publish(TOPIC, message(), qos=1).wait_for_publish()
