"""Drive WebSocketUser in its own process: ``python run_websocket.py SCENARIO URL [SEED]``; prints JSON."""

from __future__ import annotations

import itertools
import json
import os
import random
import sys
from typing import Any

import gevent
from locust import task
from recorder import Bench, hog, run_once

from streamlab_plugin.users import report
from streamlab_plugin.users.tls import Tls
from streamlab_plugin.users.websocket import WebSocketUser

numbers = itertools.count(1)


def one_task(user_class: Any, body: Any, path: str, **attributes: Any) -> dict[str, Any]:
    """Run *body* once in one user of the server."""
    return run_once(user_class, body, "Api", **{"host": URL, "ws_path": path, **attributes})


def ask(user: Any, **fields: Any) -> Any:
    """Send one numbered request."""
    return user.request({"type": "sync", "seq": next(numbers), **fields}, "sync")


def request() -> Any:
    """One request, one one-way message."""
    return one_task(
        WebSocketUser,
        lambda u: [ask(u), u.send({"seq": next(numbers)}, "tell"), u.close()],
        "/ws/a?device_id=7",
    )


def busy() -> Any:
    """The process is busy with something else when the reply comes."""
    return one_task(WebSocketUser, lambda u: [ask(u), hog(0.4), ask(u)], "/ws")


def own_id() -> Any:
    """A correlation id of the test's own."""
    return one_task(WebSocketUser, lambda u: ask(u, correlation_id="mine"), "/ws")


def parallel() -> Any:
    """Several requests in flight, replies out of order with pushes between them."""

    def body(user: Any) -> Any:
        user.connect()
        jobs = [gevent.spawn(ask, user) for _ in range(20)]
        return [job.get()["seq"] for job in jobs] == list(range(1, 21))

    return one_task(WebSocketUser, body, "/ws?push=2")


def timeout() -> Any:
    """A reply that never comes, and one that comes too late to be one."""

    def body(user: Any) -> Any:
        first = user.request({"seq": next(numbers)}, "late", timeout_s=0.05)
        user.send({"seq": next(numbers), "correlation_id": "other"}, "nudge")
        gevent.sleep(0.2)
        return first

    return one_task(WebSocketUser, body, "/ws?late=1")


def twice() -> Any:
    """A reply that comes a second time."""

    def body(user: Any) -> Any:
        return [ask(user) is not None, ask(user) is not None]

    return one_task(WebSocketUser, body, "/ws?twice=1")


def nested() -> Any:
    """Ids inside an object, in the reply elsewhere than in the request."""
    body = {"seq": 1, "meta": {"version": 2}}
    return one_task(
        WebSocketUser,
        lambda u: u.request(body, "sync"),
        "/ws?bare=1",
        correlation_field="meta.id",
        reply_correlation_field="re.id",
    )


def handshake() -> Any:
    """Cookies and subprotocols."""
    return one_task(
        WebSocketUser,
        lambda u: [u.connect(), u.subprotocol],
        "/ws",
        ws_cookies={"session": "s1", "theme": "dark"},
        ws_subprotocols=("sync.v1", "sync.v2"),
    )


def listen() -> Any:
    """A user that only listens is cut off and comes back by itself."""

    def body(user: Any) -> Any:
        user.connect()
        with gevent.Timeout(15):
            while len(connected) < 3:
                gevent.sleep(0.01)
                if user._channel is not None and user._channel not in connected:
                    connected.append(user._channel)
                    user.send({"seq": next(numbers)}, "tell")
                    user.send({"seq": next(numbers)}, "tell")
        return True

    connected: list[Any] = []
    return one_task(WebSocketUser, body, "/ws?drop_every=2", keeps_connected=True, reconnect_delay_s=0.02)


def slow_reader() -> Any:
    """A user that takes its time over each of ten pushes."""
    return one_task(WebSocketUser, lambda u: ask(u) is not None, "/ws?push=10", read_delay_s=0.02)


def hung() -> Any:
    """The server stops in mid-run; pings notice it."""

    def body(user: Any) -> Any:
        user.connect()
        print("connected", file=sys.stderr, flush=True)
        with gevent.Timeout(20):
            while user._channel is not None:
                gevent.sleep(0.01)
        return True

    return one_task(WebSocketUser, body, "/ws", ping_interval_s=0.05, ping_timeout_s=0.3)


def trusted() -> Any:
    """Over TLS, under the authority of the file in CA_FILE."""
    tls = Tls(ca_file=os.environ.get("CA_FILE"), verify=os.environ.get("VERIFY") != "0")
    return one_task(WebSocketUser, lambda u: ask(u) is not None, "/ws", tls=tls)


def refused() -> Any:
    """A handshake answered with 403."""
    return one_task(WebSocketUser, ask, "/ws?refuse=403")


def down() -> Any:
    """Nobody listens."""
    return one_task(WebSocketUser, ask, "/ws", host="ws://127.0.0.1:9")


def closed() -> Any:
    """The server closes with 1013 under two requests in flight; the next request connects again."""

    def body(user: Any) -> Any:
        user.connect()
        lost = [job.get() for job in [gevent.spawn(ask, user), gevent.spawn(ask, user)]]
        return lost, user.connect()

    return one_task(WebSocketUser, body, "/ws?mute=1&close_at=2&code=1013")


def dropped() -> Any:
    """The TCP connection vanishes at every third message; the user goes on."""
    return one_task(WebSocketUser, lambda u: [ask(u) is not None for _ in range(9)], "/ws?drop_every=3")


def hook() -> Any:
    """Pushes reach the hook; what it raises is reported and ends nothing."""
    got: list[Any] = []

    class Hooked(WebSocketUser):
        abstract = True

        def on_push(self, message: Any) -> None:
            got.append(message["number"])
            if len(got) == 1:
                raise ValueError("hook broke")
            if len(got) == 2:
                ask(self)

    return one_task(Hooked, lambda u: [ask(u) is not None, list(got)], "/ws?push=3")


def bad() -> Any:
    """Two broken messages, one not UTF-8 and one not JSON."""
    return one_task(WebSocketUser, lambda u: ask(u) is not None, "/ws?bad=1")


def ping() -> Any:
    """Pings of our own beside requests."""
    return one_task(
        WebSocketUser,
        lambda u: [ask(u) is not None for _ in range(300)].count(True),
        "/ws",
        ping_interval_s=0.001,
    )


def kill() -> Any:
    """Users with sub-greenlets, killed one by one and at the end of the run, at moments the seed gives."""
    rng = random.Random(SEED)

    class Busy(WebSocketUser):
        host = URL
        ws_path = "/ws?push=1&greet=1&delay_ms=1"

        @task(4)
        def ask(self) -> None:
            number = next(numbers)
            self.request({"seq": number}, f"seq {number}")

        @task(2)
        def tell(self) -> None:
            number = next(numbers)
            self.send({"seq": number}, f"seq {number}")

        @task(1)
        def fan(self) -> None:
            gevent.joinall([gevent.spawn(self.ask) for _ in range(3)])

        @task(1)
        def leave(self) -> None:
            self.close()

        def on_push(self, message: Any) -> None:
            if message["number"] % 5 == 0:
                gevent.sleep(0.002)

    return Bench(Busy, stop_timeout_s=rng.choice([None, None, 0.05])).run_killing(8, rng, 40)


def bare() -> Any:
    """Without a gate the rows that Locust shows are the same, interrupted ones excepted."""
    report.gate.of = lambda environment: None  # type: ignore[assignment]
    return kill()


if __name__ == "__main__":
    URL = sys.argv[2]
    SEED = int(sys.argv[3]) if len(sys.argv) > 3 else 0
    print(json.dumps(globals()[sys.argv[1]]()))
