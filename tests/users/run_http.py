"""Drive HttpUser in a process of its own: ``python run_http.py SCENARIO URL [SEED]``; prints JSON."""

from __future__ import annotations

import itertools
import json
import random
import sys
from typing import Any

import gevent
from locust import FastHttpUser, task
from locust.exception import RescheduleTask
from recorder import Bench

from streamlab_plugin.users.http import HttpUser

numbers = itertools.count(1)


def one_task(body: Any, base: Any = HttpUser, **attributes: Any) -> dict[str, Any]:
    """Run *body* once in one user and return the rows, what it returned, and Locust's own table."""
    returned: list[Any] = []

    def once(user: Any) -> None:
        try:
            returned.append(body(user))
        except Exception as error:
            returned.append(f"{type(error).__name__}: {error}")
        gevent.sleep(60)

    one = type("Web", (base,), {"host": URL, "tasks": [once], **attributes})
    bench = Bench(one)
    bench.run(1, lambda: returned)
    table = {
        f"{method} {name}": [entry.num_requests, entry.num_failures]
        for (name, method), entry in bench.environment.stats.entries.items()
    }
    return {"rows": bench.recorder.rows, "returned": returned, "table": table}


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


def own_header() -> Any:
    """A correlation header of another name."""
    return one_task(lambda u: u.client.get("/ok").json()["id"], correlation_header="X-Trace")


def timeout() -> Any:
    """No answer within the network timeout."""
    return one_task(lambda u: u.client.get("/slow?ms=2000").status_code, network_timeout=0.05)


def down() -> Any:
    """Nobody listens."""
    return one_task(lambda u: u.client.get("/ok").status_code, host="http://127.0.0.1:9")


def broken() -> Any:
    """An answer whose body cannot be decoded."""
    return one_task(lambda u: u.client.get("/broken"))


def blocks(base: Any = HttpUser) -> Any:
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
                with gevent.Timeout(0.05):
                    leave(user, how)
            except (KeyError, RescheduleTask, gevent.Timeout):
                pass
        with user.client.get("/status?code=404", name="found", catch_response=True) as response:
            response.success()
        with user.rest("GET", "/ok", name="rest") as response:
            assert response.js["id"] == "another"

    return one_task(body, base)


def blocks_of_locust() -> Any:
    """The same with FastHttpUser itself."""

    class Plain(FastHttpUser):
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

    class Web(HttpUser):
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

    bench = Bench(Web, stop_timeout_s=rng.choice([None, None, 0.05]))
    runner: Any = bench.environment.runner
    ends = []

    def disturb() -> None:
        for _ in range(40):
            gevent.sleep(rng.uniform(0, 0.02))
            alive = list(runner.user_greenlets)
            if alive:
                runner.user_greenlets.killone(rng.choice(alive), block=False)
            runner.spawn_users({"Web": 1})
        ends.append(True)

    gevent.spawn(disturb)
    rows = bench.run(6, lambda: ends)
    gevent.sleep(0.1)  # what sub-greenlets of killed users still finish must not become a second row
    return {"rows": rows, "drained": bench.drained}


if __name__ == "__main__":
    URL = sys.argv[2]
    SEED = int(sys.argv[3]) if len(sys.argv) > 3 else 0
    print(json.dumps(globals()[sys.argv[1]]()))
