"""The demo's mixed scenario: devices that sync over WebSocket and MQTT, and apps that use the HTTP API.

    streamlab demo

starts the target and this file together. By hand: start ``python -m streamlab_plugin.demo``, put the three
URLs with the ports it prints into STREAMLAB_DEMO_HTTP, STREAMLAB_DEMO_WS and STREAMLAB_DEMO_MQTT, and run
``locust -f locustfiles/demo.py``. Some failures are wanted: the target misbehaves on a schedule.
"""

from __future__ import annotations

import os
import random
import sys
import time
import uuid
from itertools import count

from locust import between, task

from streamlab_plugin import HttpUser, MqttUser, WebSocketUser, install
from streamlab_plugin.demo.person import persons

install()


def target(variable: str, example: str) -> str:
    """Return the URL in an environment variable, or end Locust with one line."""
    url = os.environ.get(variable)
    if not url:
        sys.exit(f"error: {variable} is not set; give the target's URL, e.g. {variable}={example}")
    return url


HTTP_URL = target("STREAMLAB_DEMO_HTTP", "http://127.0.0.1:8000")
WS_URL = target("STREAMLAB_DEMO_WS", "ws://127.0.0.1:8001")
MQTT_URL = target("STREAMLAB_DEMO_MQTT", "mqtt://127.0.0.1:1883")
# The target's seed decides who its people are; these devices belong to the same ones.
PEOPLE = persons(int(os.environ.get("STREAMLAB_DEMO_SEED", "7")))

_prefix = uuid.uuid4().hex[:8]
_numbers = count(1)


def next_seq() -> str:
    """Return a number that no other message has; the process id tells forked workers apart."""
    return f"{_prefix}-{os.getpid()}-{next(_numbers)}"


class MobileDevice(WebSocketUser):
    """A phone that keeps one connection, sends heartbeats and syncs, and receives pushes."""

    weight = 6
    host = WS_URL
    wait_time = between(0.2, 0.4)

    def on_start(self) -> None:
        """Connect as a device of its own."""
        self.ws_path = f"/ws/mobile/sync/?device_id={uuid.uuid4()}"
        self.connect()

    @task(2)
    def heartbeat(self) -> None:
        """Say that the device is alive."""
        self.request({"type": "heartbeat", "seq": next_seq(), "sent_at": time.time()}, name="heartbeat")

    @task(1)
    def sync(self) -> None:
        """Ask for what has changed."""
        self.request({"type": "sync", "seq": next_seq(), "sent_at": time.time()}, name="sync")


class Sensor(MqttUser):
    """A sensor that publishes to two topics of its own and listens to both."""

    weight = 5
    host = MQTT_URL
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


class App(HttpUser):
    """An app in front of the HTTP API."""

    weight = 9
    host = HTTP_URL
    wait_time = between(0.1, 0.2)

    def on_start(self) -> None:
        """Remember when this user began, for its one failing task."""
        self.fails_at: float | None = time.monotonic() + random.uniform(9, 12)

    @task(3)
    def items(self) -> None:
        """List items."""
        self.client.get(f"/api/v1/items?seq={next_seq()}", name="/api/v1/items")

    @task(2)
    def item(self) -> None:
        """Look at one item."""
        path = f"/api/v1/items/{random.randrange(1, 1000)}?seq={next_seq()}"
        self.client.get(path, name="/api/v1/items/{id}")

    @task(3)
    def order(self) -> None:
        """Order something."""
        self.client.post("/api/v1/orders", json={"seq": next_seq(), "item_ids": [1, 2], "quantity": 2})

    @task(3)
    def profile(self) -> None:
        """Look at somebody's profile; once, fail like a careless test would: with an e-mail in the text."""
        person = random.choice(PEOPLE)
        self.client.get(f"/api/v1/profile/{person.user_id}?seq={next_seq()}", name="/api/v1/profile/{id}")
        if self.fails_at is not None and time.monotonic() > self.fails_at:
            self.fails_at = None
            raise ValueError(f"no profile for {person.email}")

    @task(6)  # often: a schema has drifted only after 50 answers of another shape, also with one user
    def telemetry(self) -> None:
        """Send telemetry."""
        reading = {
            "seq": next_seq(),
            "event_type": "app_opened",
            "duration_ms": 4.2,
            "timestamp": time.time(),
        }
        self.client.post("/api/v1/telemetry", json=reading)
