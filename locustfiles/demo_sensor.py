"""The MQTT part of the demo's scenario, which `demo.py` puts together."""

from __future__ import annotations

import random
import time
import uuid

from locust import between, task

from streamlab_plugin import MqttUser
from streamlab_plugin.demo.client import PEOPLE, next_seq, target


class Sensor(MqttUser):
    """A sensor that publishes to two topics of its own and listens to both."""

    weight = 5
    host = target("STREAMLAB_DEMO_MQTT", "mqtt://127.0.0.1:1883")
    wait_time = between(0.2, 0.4)

    def on_start(self) -> None:
        """Connect and listen to nobody else: each publish is delivered once."""
        self.device = str(uuid.uuid4())
        self.connect()
        for topic in ("telemetry", "slow"):
            self.subscribe(f"devices/{self.device}/{topic}", qos=0)

    @task(1)
    def telemetry(self) -> None:
        """Publish a reading."""
        self.publish(f"devices/{self.device}/telemetry", self.reading(), qos=1)

    @task(1)
    def slow(self) -> None:
        """Publish to the topic that is slow at times."""
        self.publish(f"devices/{self.device}/slow", self.reading(), qos=1)

    def reading(self) -> dict[str, object]:
        """Return a payload with somebody's personal data in it."""
        person = random.choice(PEOPLE)
        return {
            "seq": next_seq(),
            "device_id": self.device,
            "event_type": "reading",
            "timestamp": time.time(),
            "quality_score": round(random.uniform(0.7, 0.99), 2),
            "duration_ms": round(random.uniform(5, 50), 1),
            "name": person.name,
            "phone": person.phone,
            "latitude": person.latitude,
            "longitude": person.longitude,
        }
