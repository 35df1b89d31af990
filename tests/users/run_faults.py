"""Drive users with injected faults in their own process: ``python run_faults.py SCENARIO URL SEED``."""

from __future__ import annotations

import json
import sys
from typing import Any

import gevent
from recorder import Bench

from streamlab_plugin import Faults
from streamlab_plugin.users.mqtt import MqttUser
from streamlab_plugin.users.websocket import WebSocketUser

HOLD = [
    {"id": "held", "kind": "reorder", "probability": 1, "hold_ms": 60_000, "operations": ["send", "publish"]}
]
SOME = [
    {"id": "a", "kind": "duplicate", "probability": 0.3},
    {"id": "b", "kind": "delay", "probability": 0.3, "delay_ms": 5, "distribution": "exponential"},
]


def once(base: Any, body: Any, users: int = 1, **attributes: Any) -> Bench:
    """Run *body* once in each of some users and stop them."""
    done: list[Any] = []

    def work(user: Any) -> None:
        body(user)
        done.append(user)
        gevent.sleep(60)

    bench = Bench(type("Api", (base,), {"host": URL, "tasks": [work], **attributes}))
    bench.run(users, lambda: len(done) == users)
    return bench


def held(base: Any, send: Any) -> Any:
    """Two messages that are held back when the user ends."""

    def body(user: Any) -> None:
        user.connect()
        send(user, 1)
        send(user, 2)

    bench = once(base, body, faults=Faults(HOLD))
    return {"rows": bench.recorder.rows, "drained": bench.drained}


def held_websocket() -> Any:
    """Sends of a WebSocket user."""
    return held(WebSocketUser, lambda user, number: user.send({"seq": number}, "held"))


def held_mqtt() -> Any:
    """Publishes of an MQTT user, one with and one without acknowledgement."""
    return held(
        MqttUser, lambda user, number: user.publish("q", {"seq": number}, qos=number - 1, name="held")
    )


def seeded() -> Any:
    """Three users; returns what struck each of their sends, in no particular order of the users."""

    def body(user: Any) -> None:
        user.connect()
        for number in range(40):
            user.send({"seq": number}, f"user {user._injector._name}")

    bench = once(WebSocketUser, body, users=3, faults=Faults(SOME, seed=SEED))
    rows = [row for row in bench.recorder.rows if row["operation"] == "send"]
    names = sorted({row["name"] for row in rows})
    return {name: [row["fault"] for row in rows if row["name"] == name] for name in names}


def again() -> Any:
    """Two tests in one process; returns what struck in each."""
    found = []

    def work(user: Any) -> None:
        for number in range(20):
            user.send({"seq": number}, "again")
        found.append(user)
        gevent.sleep(60)

    bench = Bench(
        type("Api", (WebSocketUser,), {"host": URL, "tasks": [work], "faults": Faults(SOME, seed=SEED)})
    )
    runner = bench.environment.runner
    assert runner is not None
    struck = []
    for test in (1, 2):
        runner.start(1, spawn_rate=1)
        with gevent.Timeout(20):
            while len(found) < test:
                gevent.sleep(0.01)
        runner.stop()
        rows = bench.recorder.rows
        struck.append([row["fault"] for row in rows if row["operation"] == "send"])
        rows.clear()
    runner.quit()
    return struck


def wrong() -> Any:
    """A list where Faults should be."""
    user: Any = type("Api", (WebSocketUser,), {"host": URL, "faults": SOME})
    try:
        user(Bench(WebSocketUser).environment)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return None


if __name__ == "__main__":
    SCENARIO, URL, SEED = sys.argv[1], sys.argv[2], int(sys.argv[3])
    print(json.dumps(globals()[SCENARIO]()))
