"""What the driver scripts share: an environment whose request events are all written down."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from time import perf_counter
from typing import Any

import gevent
from locust import User
from locust.env import Environment

from streamlab_plugin.users import closing


class Recorder:
    """Stand where the gate stands: write down each event with its detail, and the interrupted ones."""

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []

    def install(self, environment: Environment) -> None:
        """Listen to the request hook of *environment*."""
        environment.events.request.streamlab_gate = self  # type: ignore[attr-defined]
        environment.events.request.add_listener(self.listen)

    def listen(self, *, request_type: str, name: str, streamlab: Any = None, **event: Any) -> None:
        """Write down one event."""
        error = event["exception"]
        outcome = streamlab.outcome or ("success" if error is None else "error")
        self.rows.append(
            {
                "type": request_type,
                "name": name,
                "latency_ms": event["response_time"],
                "size": event["response_length"],
                "error": None if error is None else type(error).__name__,
                "text": None if error is None else str(error),
                "start_time": event["start_time"],
                **streamlab._asdict(),
                "payload": _text(streamlab.payload),
                "outcome": outcome,
            }
        )

    def record_interrupted(
        self, *, request_type: str, name: str, started_at: float, latency_ms: float, detail: Any
    ) -> None:
        """Write down one interrupted exchange."""
        row = {"type": request_type, "name": name, "latency_ms": latency_ms, "start_time": started_at}
        self.rows.append({**row, **detail._asdict(), "payload": None, "outcome": "interrupted"})


def _text(payload: Any) -> str | None:
    return payload.decode() if isinstance(payload, bytes) else payload


class Bench:
    """Run user classes the way Locust does and collect their rows.

    *until* is asked 100 times a second whether the run may end.
    """

    def __init__(self, *user_classes: type[User], stop_timeout_s: float | None = None) -> None:
        self.recorder = Recorder()
        self.environment = Environment(user_classes=list(user_classes), stop_timeout=stop_timeout_s)
        self.environment.create_local_runner()
        self.recorder.install(self.environment)
        self.errors: list[str] = []
        self.environment.events.user_error.add_listener(
            lambda exception, **_rest: self.errors.append(f"{type(exception).__name__}: {exception}")
        )

    def run(self, users: int, until: Any, limit_s: float = 20.0) -> list[dict[str, Any]]:
        """Spawn *users*, stop them when *until* says so, drain, and return all rows."""
        runner = self.environment.runner
        assert runner is not None
        runner.start(users, spawn_rate=users)
        with gevent.Timeout(limit_s):
            while not until():
                gevent.sleep(0.01)
        runner.stop()
        self.drained = closing.wait(self.environment, 3.0)
        rows = self.recorder.rows
        self.late = len(rows)
        runner.quit()
        return rows

    def run_killing(self, users: int, rng: Random, kills: int) -> dict[str, Any]:
        """Run *users*, kill and replace one after the other at moments of *rng*; return what came of it."""
        runner: Any = self.environment.runner

        def disturb() -> None:
            for _ in range(kills):
                gevent.sleep(rng.uniform(0, 0.02))
                alive = list(runner.user_greenlets)
                if alive:
                    runner.user_greenlets.killone(rng.choice(alive), block=False)
                gevent.sleep(rng.uniform(0, 0.005))
                runner.spawn_users({self.environment.user_classes[0].__name__: 1})
            gevent.sleep(rng.uniform(0, 0.01))

        disturbing = gevent.spawn(disturb)
        rows = self.run(users, disturbing.ready)
        disturbing.get()
        gevent.sleep(0.1)  # what greenlets of killed users still do must not become a row
        return {"rows": rows, "late": self.late, "drained": self.drained, "errors": self.errors}


def run_once(
    user_class: type[User], body: Any, class_name: str = "Device", **attributes: Any
) -> dict[str, Any]:
    """Run *body* once in one user.

    Returns rows, what it returned, errors of tasks and hooks, and Locust's table: requests and failures.
    """
    returned: list[Any] = []

    def once(user: Any) -> None:
        try:
            returned.append(body(user))
        except Exception as error:
            returned.append(f"{type(error).__name__}: {error}")
        gevent.sleep(60)

    bench = Bench(type(class_name, (user_class,), {"tasks": [once], **attributes}))
    bench.run(1, lambda: returned)
    entries = bench.environment.stats.entries.items()
    return {
        "rows": bench.recorder.rows,
        "returned": returned,
        "errors": bench.errors,
        "drained": bench.drained,
        "table": {
            f"{method} {name}": [entry.num_requests, entry.num_failures] for (name, method), entry in entries
        },
    }


def wait_for(condition: Callable[[], Any], limit_s: float = 5.0) -> None:
    """Wait until *condition* holds; a `gevent.Timeout` ends the script after *limit_s* seconds."""
    with gevent.Timeout(limit_s):
        while not condition():
            gevent.sleep(0.005)


def hog(seconds: float, after_s: float = 0.0) -> None:
    """Keep the loop from running for so long, from the next time on that somebody waits."""

    def spin() -> None:
        end = perf_counter() + seconds
        while perf_counter() < end:
            pass

    gevent.spawn_later(after_s, spin)
