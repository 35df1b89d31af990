"""Devices that publish measurements, and dashboards that subscribe: delivery is timed from one to the other.

streamlab locust -f locustfiles/mqtt_user.py --headless -u 20 -t 30s
"""

from __future__ import annotations

import random
from typing import Any

from locust import between, task

from streamlab_plugin import MqttUser

BROKER = "mqtt://127.0.0.1:1883"


class Device(MqttUser):
    """Publishes on its own topic; the payload gets its time and number by itself."""

    host = BROKER
    wait_time = between(0.1, 0.5)
    weight = 9

    @task(5)
    def measure(self) -> None:
        """Publish and wait for the broker's acknowledgement."""
        payload = {"quality_score": random.random(), "duration_ms": random.randint(1, 500)}
        self.publish(f"devices/{self.client_id}/telemetry", payload, qos=1)

    @task(1)
    def burst(self) -> None:
        """Publish ten without waiting; their rows follow the acknowledgements."""
        for number in range(10):
            self.publish(f"devices/{self.client_id}/burst", {"number": number}, qos=1, wait=False)


class Dashboard(MqttUser):
    """Listens to all devices."""

    host = BROKER
    wait_time = between(1, 2)
    weight = 1

    def on_start(self) -> None:
        """Subscribe once; a lost connection comes back by itself, with its subscriptions."""
        self.worst: dict[str, float] = {}
        self.subscribe("devices/+/telemetry", qos=1)

    @task
    def stay(self) -> None:
        """Do nothing: deliveries are recorded as they come."""

    def on_message(self, topic: str, payload: Any) -> None:
        """Look at a delivery; it is recorded in any case."""
        if isinstance(payload, dict):
            self.worst[topic] = min(self.worst.get(topic, 1.0), payload.get("quality_score", 1.0))
