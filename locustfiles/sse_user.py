"""Clients that listen to server-sent events: each event is a record, with the time since the one before.

streamlab locust -f locustfiles/sse_user.py --host http://127.0.0.1:8080 --headless -u 20 -t 30s
"""

from __future__ import annotations

from locust import between, task

from streamlab_plugin import HttpUser


class Listener(HttpUser):
    """Keeps a stream for some time, and asks for an answer that comes in pieces."""

    host = "http://127.0.0.1:8080"
    wait_time = between(0.1, 0.5)
    trace_context = True  # the server's logs and the records then share an id

    @task(3)
    def listen(self) -> None:
        """Take fifty events, then leave; a stream that is lost before is opened again behind the last one."""
        with self.stream_events("/events", idle_timeout_s=30.0, reconnects=3) as events:
            for event in events:
                if event.type == "bye" or events.count == 50:
                    break

    @task(1)
    def ask(self) -> None:
        """Read a stream that answers a POST and ends by itself, as language models have it."""
        words: list[str] = []
        with self.stream_events("/answers", method="POST", json={"question": "why?"}) as events:
            words.extend(event.data for event in events)
