"""A device that keeps a WebSocket open: heartbeats and syncs are answered, the server also pushes.

streamlab locust -f locustfiles/websocket_user.py --host ws://127.0.0.1:8765 --headless -u 20 -t 30s
"""

from __future__ import annotations

import random
import uuid
from typing import Any

from locust import between, task

from streamlab_plugin import WebSocketUser


class Device(WebSocketUser):
    """Beats every now and then and sends what it has measured."""

    host = "ws://127.0.0.1:8765"
    wait_time = between(0.1, 0.5)
    ping_interval_s = 20.0

    def on_start(self) -> None:
        """Open the connection that lasts as long as the user."""
        self.pushes: list[str] = []
        self.device_id = uuid.uuid4().hex
        self.connect(f"/ws/mobile/sync/?device_id={self.device_id}")

    @task(3)
    def heartbeat(self) -> None:
        """Ask whether the server is there; the reply has the same correlation id."""
        self.request({"type": "heartbeat", "device_id": self.device_id}, "heartbeat")

    @task(1)
    def sync(self) -> None:
        """Send a measurement and use the reply; there is none when the request failed."""
        message = {"type": "sync", "device_id": self.device_id, "quality_score": random.random()}
        reply = self.request(message, "sync", timeout_s=5.0)
        if reply is not None and reply.get("changes"):
            self.send({"type": "sync", "device_id": self.device_id, "status": "applied"}, "applied")

    def on_push(self, message: Any) -> None:
        """Look at what the server sends unasked; it is recorded in any case."""
        self.pushes = [*self.pushes[-9:], self.push_name(message)]
