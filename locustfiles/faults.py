"""A device whose messages do not always arrive as they should: how does the service cope?

streamlab locust -f locustfiles/faults.py --host ws://127.0.0.1:8765 --headless -u 20 -t 30s
"""

from __future__ import annotations

import random
import uuid

from locust import between, task

from streamlab_plugin import Faults, WebSocketUser


class Device(WebSocketUser):
    """Sends what it has measured, over a bad line and from a new release."""

    host = "ws://127.0.0.1:8765"
    wait_time = between(0.1, 0.5)
    reply_timeout_s = 2.0
    faults = Faults(
        [
            {"id": "mobile-net", "kind": "delay", "probability": 0.2,
             "delay_ms": {"distribution": "lognormal", "median": 80, "sigma": 0.5}},
            {"id": "tunnel", "kind": "drop_connection", "probability": 0.01},
            {"id": "bad-line", "kind": "corrupt", "probability": 0.01, "byte_count": 2},
            {"id": "release-2", "kind": "schema_drift", "probability": 0.5, "from_s": 10,
             "changes": [{"change": "rename", "path": "quality_score", "to": "score"}]},
        ],
        seed=7,
    )  # fmt: skip

    def on_start(self) -> None:
        """Connect; after a connection that was dropped, the next request does so again."""
        self.device_id = uuid.uuid4().hex
        self.connect(f"/ws/mobile/sync/?device_id={self.device_id}")

    @task
    def sync(self) -> None:
        """Send a measurement; a reply that does not come within two seconds is a timeout."""
        message = {"type": "sync", "device_id": self.device_id, "quality_score": random.random()}
        self.request(message, "sync")
