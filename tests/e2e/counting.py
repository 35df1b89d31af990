"""Users that send COUNT_MESSAGES messages together to COUNT_URL, and then end the test.

COUNT_PROTOCOL chooses them. Nothing is in flight when the test ends, so that each message has its answer.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import gevent
from gevent.event import Event
from locust import events, task

from streamlab_plugin import HttpUser, MqttUser, WebSocketUser, install

install()

URL = os.environ["COUNT_URL"]
MESSAGES = int(os.environ["COUNT_MESSAGES"])
PROTOCOL = os.environ["COUNT_PROTOCOL"]
sent = done = heard = 0
is_heard = Event()


@contextmanager
def turn() -> Iterator[int]:
    """Give the number of the next message; none when all have been sent."""
    global sent, done
    if sent == MESSAGES:
        gevent.sleep(3600)
    sent += 1
    yield sent
    done += 1


if PROTOCOL == "http":

    class Web(HttpUser):
        """Asks a web server."""

        host = URL

        @task
        def ask(self) -> None:
            """Send a request."""
            with turn():
                self.client.get("/json")


elif PROTOCOL == "websocket":

    class Socket(WebSocketUser):
        """Three of four messages are requests; the others are answered with pushes."""

        host = URL
        ws_path = "/count?push=3"

        @task
        def tell(self) -> None:
            """Send a message."""
            with turn() as number:
                if number % 4:
                    self.request({"seq": number}, "request")
                else:
                    self.send({"correlation_id": f"sent {number}"}, "send")


else:

    class Device(MqttUser):
        """Publishes with each QoS in turn, on a topic of its own, once the listener is there."""

        host = URL

        def on_start(self) -> None:
            """Wait for the listener."""
            is_heard.wait()

        @task
        def tell(self) -> None:
            """Publish."""
            with turn() as number:
                self.publish(f"count/{self.client_id}", {"n": number}, qos=number % 3)

    class Listener(MqttUser):
        """Hears everything."""

        host = URL
        fixed_count = 1

        @task
        def listen(self) -> None:
            """Subscribe, and sleep."""
            self.subscribe("count/#", qos=2)
            is_heard.set()
            gevent.sleep(3600)

        def on_message(self, topic: str, payload: Any) -> None:
            """Count."""
            global heard
            heard += 1


@events.test_start.add_listener
def _watch(environment: Any, **_rest: Any) -> None:
    def end() -> None:
        while done < MESSAGES or (PROTOCOL == "mqtt" and heard < MESSAGES):
            gevent.sleep(0.05)
        environment.runner.quit()

    gevent.spawn(end)
