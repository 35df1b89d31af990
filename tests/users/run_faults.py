"""Drive users with injected faults in their own process: ``python run_faults.py [KIND:]SCENARIO URL SEED``.

KIND, of the scenarios over HTTP, is ``fast`` for HttpUser and ``requests`` for RequestsUser.
"""

from __future__ import annotations

import json
import sys
from time import perf_counter
from typing import Any

import gevent
from recorder import Bench

from streamlab_plugin import Faults
from streamlab_plugin.scenario.document import parse_scenario
from streamlab_plugin.users.http import HttpUser
from streamlab_plugin.users.http_requests import RequestsUser
from streamlab_plugin.users.mqtt import MqttUser
from streamlab_plugin.users.websocket import WebSocketUser

KINDS = {"fast": HttpUser, "requests": RequestsUser}
HOLD = [
    {"id": "held", "kind": "reorder", "probability": 1, "hold_ms": 60_000, "operations": ["send", "publish"]}
]
SOME = [
    {"id": "a", "kind": "duplicate", "probability": 0.3},
    {"id": "b", "kind": "delay", "probability": 0.3, "delay_ms": {"distribution": "exponential", "mean": 5}},
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


def of_scenario() -> Any:
    """The faults of a scenario, given to a user class as they are."""
    scenario = parse_scenario(
        {"name": "s", "protocol": "mqtt", "endpoint": URL, "connections": 1, "duration_seconds": 1,
         "failureInjection": {
             "seed": 3,
             "duplicateMessages": {"probability": 1, "copies": 2, "operations": ["publish"]},
             "slow_consumer": {"delay_ms": 300, "operations": ["deliver"]}}}
    )  # fmt: skip
    came: list[float] = []

    def body(user: Any) -> None:
        user.subscribe("q")
        user.publish("q", {"seq": 1}, qos=1)
        while len(came) < 3:
            gevent.sleep(0.01)
        user.publish("q", {"seq": 2}, qos=1)
        while len(came) < 6:
            gevent.sleep(0.01)

    attributes = {
        "faults": scenario.failure_injection,
        "on_message": lambda _user, _topic, _message: came.append(perf_counter()),
    }
    bench = once(MqttUser, body, **attributes)
    return {"rows": bench.recorder.rows, "took_s": came[-1] - came[0]}


def listener() -> Any:
    """Reading pauses behind each push, and a request is made meanwhile."""
    pushed: list[Any] = []

    def body(user: Any) -> None:
        user.connect("/?greet=1")
        while not pushed:
            gevent.sleep(0.01)
        user.request({"seq": 1}, "waits")

    slow = {"id": "slow", "kind": "slow_consumer", "delay_ms": 400, "operations": ["push"]}
    attributes = {"faults": Faults([slow]), "on_push": lambda _user, message: pushed.append(message)}
    return once(WebSocketUser, body, **attributes).recorder.rows


def overtaken() -> Any:
    """Four sends, the first of which two others have to overtake."""
    fault = {"kind": "reorder", "depth": 2, "hold_ms": 60_000, "probability": 0.4}
    seed = next(seed for seed in range(999) if which(Faults([fault], seed)) == [True, False, False, False])

    def body(user: Any) -> None:
        user.connect()
        for number in range(4):
            user.send({"seq": number}, "overtaken")
            gevent.sleep(0.1)

    return once(WebSocketUser, body, faults=Faults([fault], seed)).recorder.rows


def which(faults: Faults) -> list[bool]:
    """Tell which of the first four sends of the first user are struck."""
    return [faults.strike("Api/0/1", "send", number, 0.0) is not None for number in (1, 2, 3, 4)]


def wrong() -> Any:
    """What is no `Faults`."""
    return [refused(base, SOME) for base in (WebSocketUser, MqttUser, HttpUser, RequestsUser)]


def redirected(base: Any) -> Any:
    """A request that is sent twice, each copy of which is redirected."""

    def body(user: Any) -> None:
        user.client.get("/moved?seq=1")

    twice = Faults([{"kind": "duplicate"}])
    bench = once(base, body, faults=twice)
    return {"rows": bench.recorder.rows, "drained": bench.drained}


def form(base: Any) -> Any:
    """A form, a file and a stream of bytes, whose faults want to change them."""

    def body(user: Any) -> None:
        user.client.post("/ok", data={"field": "value"}, name="form")
        user.client.post("/ok", data=(part for part in [b"a", b"b"]), name="stream")

    return once(base, body, faults=Faults([{"kind": "malformed"}])).recorder.rows


def down(base: Any) -> Any:
    """A connection that is to be dropped, but cannot be had."""

    def body(user: Any) -> None:
        user.client.get("/ok", name="down")

    dropped = Faults([{"kind": "drop_connection"}])
    return once(base, body, faults=dropped, host="http://127.0.0.1:9").recorder.rows


def refused(base: Any, faults: Any) -> Any:
    """Return the error that a user class ends with."""
    user: Any = type("Api", (base,), {"host": URL, "faults": faults})
    try:
        user(Bench(WebSocketUser).environment)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return None


if __name__ == "__main__":
    SCENARIO, URL, SEED = sys.argv[1], sys.argv[2], int(sys.argv[3])
    KIND, _, SCENARIO = SCENARIO.rpartition(":")
    print(json.dumps(globals()[SCENARIO](*([KINDS[KIND]] if KIND else []))))
