"""Orders that come when customers want them, not when the shop has time: a schedule instead of pauses.

streamlab locust -f locustfiles/open_model.py --host http://127.0.0.1:8080 --headless -u 50 -t 70s
"""

from __future__ import annotations

import random

from locust import task

from streamlab_plugin import RequestsUser, arrivals


class Shopper(RequestsUser):
    """Twenty arrivals a second of all users together; 50 users last for answers of up to 2.5 s."""

    host = "http://127.0.0.1:8080"
    wait_time = arrivals("0..20/s over 10s, 20/s for 1m, poisson, seed 7")

    @task
    def order(self) -> None:
        """The first request of a task belongs to the arrival: it says when it was due and how late it was."""
        self.client.post("/api/v1/orders", json={"quality_score": random.random()})
        self.client.get(f"/api/v1/items/{random.randint(1, 1000)}")
