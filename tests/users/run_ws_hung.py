"""Stop a WebSocket server for a while, under users: ``python run_ws_hung.py SCENARIO JSON``; prints JSON.

JSON gives ``url`` and ``pid`` of the server, how many ``users``, how long it hangs (``hang_s``), the
``timeout_s`` of everything, and whether the server ``resumes`` before the test ends.
"""

from __future__ import annotations

import itertools
import json
import os
import signal
import sys
from time import perf_counter
from typing import Any

import gevent
from locust import task
from recorder import Bench, run_once, wait_for

from streamlab_plugin.users.websocket import WebSocketUser

LIMIT_S = 60.0
LARGE_BYTES = 16 * 1024 * 1024
numbers = itertools.count(1)
users: list[Client] = []


class Client(WebSocketUser):
    """Asks again and again; knows when it was answered last, and when it noticed that the server hangs."""

    abstract = True
    ws_path = "/ws"
    reconnect_delay_s = 0.1
    reconnect_delay_most_s = 1.0
    attempts = 0
    hangs = False

    def __init__(self, environment: Any) -> None:
        super().__init__(environment)
        self.answered_at = self.noticed_at = 0.0
        users.append(self)

    @task
    def ask(self) -> None:
        """Count and ask."""
        if not self.connect():
            return
        number = next(numbers)
        Client.attempts += 1
        reply = self.request({"seq": number, "correlation_id": str(number)}, "ask")
        if reply is not None:
            self.answered_at = perf_counter()
        elif Client.hangs and not self.noticed_at:
            self.noticed_at = perf_counter()
        gevent.sleep(GIVEN["timeout_s"] / 5)


class Asker(Client):
    """Notices by the reply that does not come, and stays connected."""


class Pinger(Client):
    """Notices by the pong that does not come, long before the reply would be missed."""

    reply_timeout_s = 600.0


def hung() -> Any:
    """The server hangs, all notice; it goes on and all are answered again, or the test ends."""
    timeout_s = GIVEN["timeout_s"]
    Client.host = GIVEN["url"]
    Client.connect_timeout_s = Asker.reply_timeout_s = Pinger.ping_timeout_s = timeout_s
    Pinger.ping_interval_s = timeout_s / 5
    Asker.fixed_count = Pinger.fixed_count = GIVEN["users"] // 2
    bench = Bench(Asker, Pinger)
    told: dict[str, Any] = {}

    def disturb() -> None:
        wait_for(lambda: len(users) == GIVEN["users"] and all(user.answered_at for user in users), LIMIT_S)
        os.kill(GIVEN["pid"], signal.SIGSTOP)
        stopped, Client.hangs = perf_counter(), True
        gevent.sleep(GIVEN["hang_s"])
        wait_for(lambda: all(user.noticed_at for user in users), LIMIT_S)
        told["noticed_s"] = max(user.noticed_at for user in users) - stopped
        if GIVEN["resumes"]:
            os.kill(GIVEN["pid"], signal.SIGCONT)
            resumed = perf_counter()
            wait_for(lambda: all(user.answered_at > resumed for user in users), LIMIT_S)
            told["recovered_s"] = perf_counter() - resumed

    disturbing = gevent.spawn(disturb)
    try:
        rows = bench.run(GIVEN["users"], disturbing.ready, LIMIT_S * 3 + GIVEN["hang_s"])
    finally:
        os.kill(GIVEN["pid"], signal.SIGCONT)
    disturbing.get()
    return {
        **told,
        "rows": rows,
        "late": bench.late,
        "attempts": Client.attempts,
        "alive": sum(not user.greenlet.dead for user in users),
        "drained": bench.drained,
        "errors": bench.errors,
    }


def full() -> Any:
    """The server hangs while a message is on its way that is larger than all buffers."""
    large = "x" * LARGE_BYTES

    def ask(user: Any, name: str, fill: str = "") -> bool:
        return user.request({"seq": next(numbers), "fill": fill}, name) is not None

    def goes_on(user: Any) -> Any:
        user.connect("/ws", "goes on")
        done = [ask(user, "before")]
        os.kill(GIVEN["pid"], signal.SIGSTOP)
        done += [ask(user, "large", large), ask(user, "behind"), user.send({"seq": next(numbers)}, "behind")]
        os.kill(GIVEN["pid"], signal.SIGCONT)
        user.reply_timeout_s = LIMIT_S
        return [*done, ask(user, "after"), user.close()]

    def closes(user: Any) -> Any:
        user.connect("/ws", "closes")
        os.kill(GIVEN["pid"], signal.SIGSTOP)
        job = gevent.spawn(ask, user, "large, closed", large)
        gevent.sleep(0)
        done = [user.close(), job.get()]
        os.kill(GIVEN["pid"], signal.SIGCONT)
        return done

    def pings(user: Any) -> Any:
        user.ping_interval_s, user.ping_timeout_s, user.reply_timeout_s = 0.05, GIVEN["timeout_s"], LIMIT_S
        user.connect("/ws", "pings")
        os.kill(GIVEN["pid"], signal.SIGSTOP)
        done = ask(user, "large, pinged", large)
        os.kill(GIVEN["pid"], signal.SIGCONT)
        return done

    def body(user: Any) -> Any:
        try:
            done = goes_on(user)
            return [done, closes(user), pings(user)]
        finally:
            os.kill(GIVEN["pid"], signal.SIGCONT)

    result = run_once(WebSocketUser, body, host=GIVEN["url"], reply_timeout_s=GIVEN["timeout_s"])
    rows = [{key: value for key, value in row.items() if key != "payload"} for row in result["rows"]]
    return {**result, "rows": rows}


if __name__ == "__main__":
    GIVEN = json.loads(sys.argv[2])
    print(json.dumps(globals()[sys.argv[1]]()))
