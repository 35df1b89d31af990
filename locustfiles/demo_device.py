"""The WebSocket part of the demo's scenario, which `demo.py` puts together."""

from __future__ import annotations

import time
import uuid

from locust import between, task

from streamlab_plugin import WebSocketUser
from streamlab_plugin.demo.client import next_seq, target


class MobileDevice(WebSocketUser):
    """A phone that keeps one connection, sends heartbeats and syncs, and receives pushes."""

    weight = 6
    host = target("STREAMLAB_DEMO_WS", "ws://127.0.0.1:8001")
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
