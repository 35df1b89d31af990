"""Drive an HTTP user in a process of its own: ``python run_http.py KIND:SCENARIO URL [SEED]``; prints JSON.

KIND is ``fast`` for HttpUser and ``requests`` for RequestsUser.
"""

from __future__ import annotations

import itertools
import json
import random
import sys
from typing import Any

import gevent
from locust import FastHttpUser, task
from locust import HttpUser as LocustHttpUser
from locust.exception import RescheduleTask, StopTest
from recorder import Bench, hog, run_once

from streamlab_plugin.users.http import HttpUser
from streamlab_plugin.users.http_requests import RequestsUser

KINDS = {"fast": (HttpUser, FastHttpUser), "requests": (RequestsUser, LocustHttpUser)}
numbers = itertools.count(1)


def one_task(body: Any, base: Any = None, **attributes: Any) -> dict[str, Any]:
    """Run *body* once in one user of the target."""
    return run_once(base or BASE, body, "Web", **{"host": URL, **attributes})


def plain() -> Any:
    """The simplest requests."""

    def body(user: Any) -> Any:
        own = {"x-correlation-id": "mine"}
        return [
            user.client.get("/ok").json()["id"],
            user.client.post("/ok?seq=2", json={"a": 1}, headers=own, name="post").json()["id"],
            user.client.get("/text").text is not None,
            user.client.get("/big").status_code,
            user.client.get("/ok", stream=True).status_code,
            user.client.get("/status?code=503").status_code,
        ]

    return one_task(body)


def busy() -> Any:
    """The process is busy with something else when the answer comes; a block, and no block."""

    def body(user: Any) -> None:
        user.client.get("/ok")
        hog(0.4, 0.05)
        user.client.get("/slow?ms=100", name="busy")
        hog(0.4, 0.05)
        with user.client.get("/slow?ms=100", name="busy", catch_response=True):
            pass

    return one_task(body)


def own_header() -> Any:
    """A correlation header of another name."""
    return one_task(lambda u: u.client.get("/ok").json()["id"], correlation_header="X-Trace")


def timeout() -> Any:
    """No answer within the network timeout."""
    options = {"timeout": 0.05} if BASE is RequestsUser else {}
    return one_task(lambda u: u.client.get("/slow?ms=2000", **options).status_code, network_timeout=0.05)


def own_timeout() -> Any:
    """A time limit that the task sets around its request."""

    def body(user: Any) -> Any:
        with gevent.Timeout(0.05, False):
            user.client.get("/slow?ms=2000")
        return "went on"

    return one_task(body)


def down() -> Any:
    """Nobody listens."""
    return one_task(lambda u: u.client.get("/ok").status_code, host="http://127.0.0.1:9")


def broken() -> Any:
    """Answers that a client cannot take in, each asked for on its own."""

    def body(user: Any) -> Any:
        raised = {}
        for place in ("/broken", "/lie", "/bytes?code=404", "/broken?code=500", "/lie?code=500", "/odd"):
            try:
                user.client.get(place)
            except Exception as error:
                raised[place] = f"{type(error).__name__}: {error}"
        return raised

    return one_task(body)


def traced() -> Any:
    """Requests with trace contexts."""

    def body(user: Any) -> None:
        given = "00-" + "a" * 32 + "-" + "b" * 16 + "-00"
        user.client.get("/ok")
        user.client.get("/ok")
        user.client.get("/ok", headers={"Traceparent": given})
        user.client.get("/ok", headers={"traceparent": "broken", "X-Correlation-ID": "mine"})
        user.client.get("/ok", headers={"x-correlation-id": "mine"})

    return one_task(body, trace_context=True)


def captured() -> Any:
    """What was sent is kept where the answer has nothing; JSON only, by its type."""

    def body(user: Any) -> None:
        user.client.post("/none", json={"sent": 1})
        user.client.post("/ok", json={"sent": 1})
        user.client.post("/text", json={"sent": 2})
        user.client.post("/none", data={"form": "field"})
        user.client.post("/none", json={"fill": "x" * 70_000})
        user.client.get("/hal")
        user.client.get("/none")

    return one_task(body, captures_requests=True)


def captured_types() -> Any:
    """A user that keeps only what it names."""

    def body(user: Any) -> None:
        user.client.get("/hal")
        user.client.get("/ok")
        user.client.post("/none", json={"sent": 1})

    return one_task(body, captured_types=("hal+json",))


def bad_input() -> Any:
    """What the user's author got wrong."""

    def body(user: Any) -> Any:
        said = []
        for options in ({"idle_timeout_s": 0}, {"reconnects": -1}):
            try:
                user.stream_events("/events", **options)
            except ValueError as error:
                said.append(str(error))
        try:
            type("Wrong", (BASE,), {"host": URL, "captured_types": "json"})(user.environment)
        except StopTest as error:
            said.append(str(error))
        return said

    return one_task(body)


def blocks(base: Any = None) -> Any:
    """Every way out of a with block."""

    def leave(user: Any, how: str) -> None:
        with user.client.get("/ok", name=how, catch_response=True) as response:
            if how == "failure":
                response.failure("no good")
            elif how == "error":
                raise KeyError("inside")
            elif how == "reschedule":
                raise RescheduleTask
            elif how == "marked, then error":
                response.failure("marked")
                raise KeyError("inside")
            elif how == "timeout":
                gevent.sleep(5)

    def body(user: Any) -> Any:
        for how in ("nothing", "failure", "error", "reschedule", "marked, then error", "timeout"):
            try:
                with gevent.Timeout(0.2 if how == "timeout" else 20):
                    leave(user, how)
            except (KeyError, RescheduleTask, gevent.Timeout):
                pass
        with user.client.get("/status?code=404", name="found", catch_response=True) as response:
            response.success()
        with user.rest("GET", "/ok", name="rest") as response:
            assert response.js["id"] == "another"

    return one_task(body, base)


def blocks_of_locust() -> Any:
    """The same with Locust's own class."""

    class Plain(KINDS[KIND][1]):  # type: ignore[misc]
        abstract = True

    return one_task_without_rows(blocks, Plain)


def one_task_without_rows(scenario: Any, base: Any) -> Any:
    """Run *scenario* with a user class that fires no details."""
    import recorder

    recorder.Recorder.listen = lambda self, **_event: None  # type: ignore[method-assign]
    return scenario(base)


def kill() -> Any:
    """Users with sub-greenlets and with blocks killed at moments the seed gives."""
    rng = random.Random(SEED)

    class Web(BASE):  # type: ignore[misc,valid-type]
        host = URL

        @task(3)
        def ask(self) -> None:
            number = next(numbers)
            self.client.get(f"/slow?ms={rng.choice([0, 2])}&seq={number}", name=f"seq {number}")

        @task(1)
        def fan(self) -> None:
            gevent.joinall([gevent.spawn(self.ask) for _ in range(3)])

        @task(1)
        def block(self) -> None:
            number = next(numbers)
            with self.client.get(f"/ok?seq={number}", name=f"seq {number}", catch_response=True) as response:
                gevent.sleep(0.002)
                response.success()

    return Bench(Web, stop_timeout_s=rng.choice([None, None, 0.05])).run_killing(6, rng, 40)


if __name__ == "__main__":
    URL = sys.argv[2]
    SEED = int(sys.argv[3]) if len(sys.argv) > 3 else 0
    KIND, _, SCENARIO = sys.argv[1].partition(":")
    BASE: Any = KINDS[KIND][0]
    print(json.dumps(globals()[SCENARIO]()))
