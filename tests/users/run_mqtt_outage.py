"""Kill the broker under MqttUsers and start it again: ``python run_mqtt_outage.py outage JSON``; prints JSON.

JSON gives ``folder`` for the broker, and the number of ``publishers`` and ``listeners``.
"""

from __future__ import annotations

import itertools
import json
import sys
from pathlib import Path
from time import perf_counter
from typing import Any

import gevent
from locust import task
from mosquitto import Mosquitto
from recorder import Bench, wait_for

from streamlab_plugin.users.mqtt import MqttUser

LIMIT_S = 30.0
numbers = itertools.count(1)
users: list[MqttUser] = []


class Device(MqttUser):
    """Knows its like."""

    abstract = True

    def __init__(self, environment: Any) -> None:
        super().__init__(environment)
        users.append(self)

    @property
    def is_connected(self) -> bool:
        """Whether there is a session."""
        return self._connector.session is not None


class Publisher(Device):
    """Publishes with QoS 1, each message on a topic of its own."""

    attempts = 0

    @task
    def tell(self) -> None:
        """Count and publish."""
        number = next(numbers)
        Publisher.attempts += 1
        self.publish(f"o/{number}", {"n": number}, qos=1)
        gevent.sleep(0.05)


class Listener(Device):
    """Subscribes once and does nothing more."""

    heard = 0

    def on_start(self) -> None:
        """Subscribe."""
        self.subscribe("o/#", qos=1)

    @task
    def rest(self) -> None:
        """Sleep for ever."""
        gevent.sleep(600)

    def on_message(self, topic: str, payload: Any) -> None:
        """Count."""
        Listener.heard += 1


def outage() -> Any:
    """Connect all, kill, wait, start, and see who comes back."""
    broker = Mosquitto(Path(GIVEN["folder"]), ["allow_anonymous true"])
    Publisher.host = Listener.host = f"mqtt://127.0.0.1:{broker.port}"
    Publisher.fixed_count, Listener.fixed_count = GIVEN["publishers"], GIVEN["listeners"]
    count = Publisher.fixed_count + Listener.fixed_count
    bench = Bench(Publisher, Listener)
    result: dict[str, Any] = {}

    def disturb() -> None:
        wait_for(lambda: len(users) == count and all(user.is_connected for user in users), LIMIT_S)
        gevent.sleep(0.2)
        broker.kill()
        gevent.sleep(1.0)
        started = perf_counter()
        assert broker.start()
        wait_for(lambda: all(user.is_connected for user in users), LIMIT_S)
        result["reconnected_s"] = perf_counter() - started
        heard = Listener.heard
        gevent.sleep(0.3)
        result["heard"] = Listener.heard - heard
        result["connected"] = sum(user.is_connected for user in users)

    disturbing = gevent.spawn(disturb)
    rows = bench.run(count, disturbing.ready, LIMIT_S * 3)
    broker.kill()
    disturbing.get()
    return {
        **result,
        "rows": rows,
        "attempts": Publisher.attempts,
        "errors": bench.errors,
        "log": str(broker.log),
    }


if __name__ == "__main__":
    GIVEN = json.loads(sys.argv[2])
    print(json.dumps(globals()[sys.argv[1]]()))
