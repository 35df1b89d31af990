"""Drive event streams in a process of its own: ``python run_sse.py KIND:SCENARIO URL [SEED]``; prints JSON.

KIND is ``fast`` for HttpUser and ``requests`` for RequestsUser.
"""

from __future__ import annotations

import json
import random
import sys
from typing import Any

import gevent
from locust import task
from recorder import Bench, run_once

from streamlab_plugin.users.http import HttpUser
from streamlab_plugin.users.http_requests import RequestsUser

KINDS = {"fast": HttpUser, "requests": RequestsUser}


def one_task(body: Any, **attributes: Any) -> dict[str, Any]:
    """Run *body* once in one listener."""
    return run_once(BASE, body, "Listener", host=URL, **attributes)


def listen(user: Any, query: str, name: str, **options: Any) -> list[int]:
    """Listen to a stream to its end and return the numbers of its events."""
    with user.stream_events(f"/events?{query}", name, **options) as events:
        return [event.json()["number"] for event in events]


def ends() -> Any:
    """Every end of a stream."""

    def body(user: Any) -> Any:
        got = {
            end: listen(user, f"n=3&end={end}", end) for end in ("chunked", "length", "close", "cut", "reset")
        }
        got |= {eol: listen(user, f"n=3&split=1&eol={eol}&end=close", eol) for eol in ("cr", "crlf")}
        got["silent"] = listen(user, "n=3&end=silent", "silent", idle_timeout_s=0.1)
        got["endless"] = listen(user, "n=3&end=endless", "endless")
        with user.stream_events("/events?n=3&end=silent", "left") as events:
            got["left"] = [next(events).json()["number"], events.is_open]
        try:
            with user.stream_events("/events?n=3&end=silent", "raised") as events:
                raise KeyError("of the task")
        except KeyError:
            got["raised"] = [events.is_open]
        with gevent.Timeout(0.1, False), user.stream_events("/events?n=3&end=silent", "limited") as events:
            got["limited"] = []
            for event in events:
                got["limited"].append(event.json()["number"])
        return got

    return one_task(body, event_limit_bytes=100_000)


def refusals() -> Any:
    """Every way not to become a stream; none is tried again, but the connection that is not made."""

    def body(user: Any) -> Any:
        for name, query in (
            ("none", "status=204"),
            ("unavailable", "status=503"),
            ("page", "type=text/html"),
            ("packed", "encoding=gzip"),
        ):
            assert not listen(user, query, name, reconnects=2)
        user.client.base_url = "http://127.0.0.1:9"
        events = user.stream_events("/events", "down")
        assert not list(events)
        return events.is_open

    return one_task(body)


def reconnects() -> Any:
    """A stream that goes on after its end, behind the last event."""

    def body(user: Any) -> Any:
        # No wait between attempts: what the server says is 0.
        return [
            listen(user, "n=2&retry=0&stop_at=6", "until 204", reconnects=1),
            listen(user, "n=2&retry=0&end=cut&stop_at=4", "after a loss", reconnects=1),
            listen(user, "n=0&end=length", "in vain", reconnects=0),
        ]

    return one_task(body)


def posted() -> Any:
    """A stream that answers a POST, with what is known of it afterwards."""

    def body(user: Any) -> Any:
        events = user.stream_events(
            "/events?n=3&gap_ms=20", method="POST", json={"prompt": "x"}, headers={"A": "b"}
        )
        seen = [(event.type, event.id) for event in events]
        return [seen, events.count, events.last_event_id, events.first_event_ms]

    return one_task(body, trace_context=True, captures_requests=True)


def many() -> Any:
    """Twenty users that listen to whole streams."""
    numbers: list[Any] = []

    class Listener(BASE):  # type: ignore[misc,valid-type]
        host = URL

        @task
        def listen(self) -> None:
            numbers.append(listen(self, "n=200&end=close", "all"))
            gevent.sleep(60)

    rows = Bench(Listener).run(20, lambda: len(numbers) == 20)
    return {"rows": rows, "numbers": numbers}


def kill() -> Any:
    """Listeners, some in greenlets of their own, killed at moments that the seed gives."""
    rng = random.Random(SEED)

    class Listener(BASE):  # type: ignore[misc,valid-type]
        host = URL

        @task(2)
        def listen(self) -> None:
            listen(self, "n=1000&gap_ms=1", "own")

        @task(1)
        def fan(self) -> None:
            gevent.joinall([gevent.spawn(listen, self, "n=1000&gap_ms=1", "other") for _ in range(2)])

        @task(1)
        def forget(self) -> None:
            next(self.stream_events("/events?n=1000&gap_ms=1", "forgotten"), None)

    return Bench(Listener, stop_timeout_s=rng.choice([None, 0.05])).run_killing(5, rng, 20)


if __name__ == "__main__":
    KIND, _, SCENARIO = sys.argv[1].partition(":")
    BASE: Any = KINDS[KIND]
    URL = sys.argv[2]
    SEED = int(sys.argv[3]) if len(sys.argv) > 3 else 0
    print(json.dumps(globals()[SCENARIO]()))
