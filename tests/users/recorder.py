"""What the driver scripts share: an environment whose request events are all written down."""

from __future__ import annotations

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


def run_once(user_class: type[User], body: Any, **attributes: Any) -> dict[str, Any]:
    """Run *body* once in one user and return the rows, what it returned, and errors of tasks and hooks."""
    returned: list[Any] = []

    def once(user: Any) -> None:
        try:
            returned.append(body(user))
        except Exception as error:
            returned.append(f"{type(error).__name__}: {error}")
        gevent.sleep(60)

    bench = Bench(type("Device", (user_class,), {"tasks": [once], **attributes}))
    bench.run(1, lambda: returned)
    return {
        "rows": bench.recorder.rows,
        "returned": returned,
        "errors": bench.errors,
        "drained": bench.drained,
    }


def wait_for(condition: Any) -> None:
    """Wait until *condition* holds, 5 s at most."""
    with gevent.Timeout(5):
        while not condition():
            gevent.sleep(0.005)
