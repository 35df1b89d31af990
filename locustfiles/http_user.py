"""An HTTP API under FastHttpUser's interface: correlation ids go out, JSON answers are recorded.

streamlab locust -f locustfiles/http_user.py --host http://127.0.0.1:8080 --headless -u 20 -t 30s
"""

from __future__ import annotations

import random

from locust import between, task

from streamlab_plugin import HttpUser


class Client(HttpUser):
    """Reads and writes measurements."""

    host = "http://127.0.0.1:8080"
    wait_time = between(0.1, 0.5)

    @task(3)
    def read(self) -> None:
        """A plain request; ids in the path become a template by themselves."""
        self.client.get(f"/api/v1/items/{random.randint(1, 1000)}")

    @task(1)
    def write(self) -> None:
        """Decide oneself what counts as a failure; an exception in the block would be recorded as well."""
        body = {"quality_score": random.random()}
        with self.client.post("/api/v1/orders", json=body, catch_response=True) as response:
            if response.status_code == 201 and "order_number" not in response.json():
                response.failure("created without a number")
