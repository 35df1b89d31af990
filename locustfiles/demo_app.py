"""The HTTP part of the demo's scenario, which `demo.py` puts together."""

from __future__ import annotations

import random
import time

from locust import between, task

from streamlab_plugin import HttpUser
from streamlab_plugin.demo.client import PEOPLE, next_seq, target


class App(HttpUser):
    """An app in front of the HTTP API."""

    weight = 9
    host = target("STREAMLAB_DEMO_HTTP", "http://127.0.0.1:8000")
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
        reading = {"event_type": "app_opened", "duration_ms": 4.2, "timestamp": time.time()}
        self.client.post("/api/v1/telemetry", json={"seq": next_seq(), **reading})
