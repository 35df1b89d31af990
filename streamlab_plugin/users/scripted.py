"""Users that do what a scenario says: one class for each of its parts, and the shape of its load."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from time import perf_counter
from typing import Any, ClassVar
from urllib.parse import urlsplit

import gevent
from locust import LoadTestShape, User, events, task
from locust.runners import WorkerRunner

from streamlab_plugin.core.beat import Beat
from streamlab_plugin.scenario.payload import messages
from streamlab_plugin.scenario.scenario import HttpPart, MqttPart, Part, Scenario, WebSocketPart
from streamlab_plugin.users.correlation import new_id
from streamlab_plugin.users.http import HttpUser
from streamlab_plugin.users.mqtt import MqttUser
from streamlab_plugin.users.pacing import pacing_of
from streamlab_plugin.users.websocket import WebSocketUser

# So many workers have connections with numbers, and so people, of their own.
_WORKERS = 64
# Locust takes whole numbers as weights.
_WEIGHT_PARTS = 100
_BODY_METHODS = frozenset({"POST", "PUT", "PATCH"})
_NUMBER = "{connection}"


class Scripted(User):
    """One connection of a part; stands before the user class of its protocol."""

    abstract = True

    scenario: ClassVar[Scenario]
    part: ClassVar[Any]
    numbers: ClassVar[Iterator[int]]
    started: ClassVar[dict[str, float]]  # "at": `perf_counter` at the test's start
    beat: Beat | None = None  # while it has a rate and nothing else paces it

    def __init__(self, environment: Any) -> None:
        self.number = next(self.numbers)
        if isinstance(environment.runner, WorkerRunner):
            self.number = self.number * _WORKERS + max(0, environment.runner.worker_index)
        self.host = self.numbered(self.part.endpoint)
        self._messages = messages(self.part.payload, self.number)
        self._random = random.Random(f"{self.scenario.name} {self.number}")
        self._due_s = 0.0
        super().__init__(environment)

    def numbered(self, text: str) -> str:
        """Return *text* with the number of this connection in its place."""
        return text.replace(_NUMBER, str(self.number))

    def next_message(self) -> dict[str, Any]:
        """Return this connection's next message."""
        return next(self._messages)

    def wait_time(self) -> float:
        """Wait until the next message is due, or return the pause: the later of rate and think time."""
        if self.beat is not None:
            pacing_of(self.environment).keep(self.beat)
            return 0.0
        thought_s = self.scenario.think_time.sample(self._random) if self.scenario.think_time else 0.0
        if not self.part.messages_per_second:
            return thought_s
        now_s = perf_counter()
        interval_s = self._interval_s(now_s)
        # Who thinks has no schedule: it makes up for one message at most.
        self._due_s = max(self._due_s + interval_s, now_s - interval_s)
        return max(thought_s, self._due_s - now_s, 0.0)

    def _interval_s(self, at_s: float) -> float:
        """Return the time from one message to the next at a moment, a reading of `perf_counter`."""
        elapsed_s = at_s - self.started.get("at", at_s)
        rate: float = self.part.messages_per_second
        return 1.0 / (rate * self.scenario.rate_factor_at(elapsed_s))

    def on_start(self) -> None:
        """Open the connection, and begin at a moment of its own: no beat that all share."""
        self.open()
        rate = self.part.messages_per_second
        if not rate:
            return
        delay_s = self._random.uniform(0.0, min(1.0 / rate, self.scenario.duration_seconds))
        self._due_s = perf_counter() + delay_s
        if self.scenario.think_time:
            gevent.sleep(delay_s)
        else:
            pacing = pacing_of(self.environment)
            self.beat = pacing.beat(self._due_s, self._interval_s)
            pacing.keep(self.beat)

    def on_stop(self) -> None:
        """Count what it will not send any more."""
        if self.beat is not None:
            self.beat.stop(perf_counter())

    def open(self) -> None:
        """Connect, where the protocol has connections."""

    @task
    def act(self) -> None:
        """Send one message; a connection that only listens waits for its end."""
        if self.part.messages_per_second == 0:
            gevent.sleep(self.scenario.duration_seconds)
        else:
            self.send_one()

    def send_one(self) -> None:
        """Send the next message."""
        raise NotImplementedError


class WebSocketConnection(Scripted, WebSocketUser):
    """A connection of a WebSocket part."""

    abstract = True
    part: ClassVar[WebSocketPart]
    keeps_connected = True

    def __init__(self, environment: Any) -> None:
        super().__init__(environment)
        url = urlsplit(self.host or "")
        self.ws_path = (url.path or "/") + (f"?{url.query}" if url.query else "")
        self.host = f"{url.scheme}://{url.netloc}"
        self._path = self.ws_path

    def open(self) -> None:
        """Shake hands."""
        self.connect()

    def send_one(self) -> None:
        """Ask, or tell."""
        message = self.next_message()
        if self.part.operation == "request":
            self.request(message, name=str(message["type"]))
        else:
            self.send({**message, "correlation_id": new_id()}, name=str(message["type"]))


class MqttConnection(Scripted, MqttUser):
    """A connection of an MQTT part."""

    abstract = True
    part: ClassVar[MqttPart]

    def open(self) -> None:
        """Connect and, if the part listens, subscribe."""
        if self.part.subscribe:
            self.subscribe(self.numbered(self.part.subscribe), qos=self.part.qos)
        else:
            self.connect()

    def send_one(self) -> None:
        """Publish."""
        message = {**self.next_message(), "correlation_id": new_id()}
        self.publish(self.numbered(self.part.topic), message, qos=self.part.qos, name=self.part.topic)


class HttpConnection(Scripted, HttpUser):
    """A connection of an HTTP part."""

    abstract = True
    part: ClassVar[HttpPart]

    def send_one(self) -> None:
        """Make one request."""
        body: dict[str, Any] = {}
        if self.part.method in _BODY_METHODS:
            body = {"json": {**self.next_message(), "correlation_id": new_id()}}
        self.client.request(self.part.method, self.numbered(self.part.path), name=self.part.path, **body)


_CLASSES: dict[type[Part], type[Scripted]] = {
    WebSocketPart: WebSocketConnection,
    MqttPart: MqttConnection,
    HttpPart: HttpConnection,
}


def user_classes(scenario: Scenario) -> dict[str, type[Scripted]]:
    """Return a user class for each part of *scenario*, by name."""
    started: dict[str, float] = {}
    hooks: Any = events

    def begin(environment: Any, **_event: Any) -> None:
        started["at"] = perf_counter()
        pacing_of(environment).begin()

    hooks.test_start.add_listener(begin)
    hooks.init.add_listener(
        lambda environment, **_event: setattr(environment, "streamlab_name", scenario.name)
    )
    found = {}
    for number, part in enumerate(scenario.parts, 1):
        name = f"{part.protocol.capitalize()}Part{number}"
        attributes: dict[str, Any] = {
            "scenario": scenario,
            "part": part,
            "numbers": itertools.count(),
            "started": started,
            "weight": max(1, round(part.weight * _WEIGHT_PARTS)),
        }
        if scenario.failure_injection:
            attributes["faults"] = scenario.failure_injection
        found[name] = type(name, (_CLASSES[type(part)],), attributes)
    return found


def shape_class(scenario: Scenario) -> type[LoadTestShape]:
    """Return the shape of the load: ramps, and the end."""

    class ScenarioShape(LoadTestShape):
        """As many connections as the scenario says at each moment."""

        def tick(self) -> tuple[int, float] | None:
            """Return (users, users per second), None behind the end."""
            elapsed_s: float = self.get_run_time()  # type: ignore[no-untyped-call]
            if elapsed_s >= scenario.duration_seconds:
                return None
            users = scenario.connections_at(elapsed_s)
            return users, float(max(1, users))

    return ScenarioShape
