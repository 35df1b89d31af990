"""Stop a WebSocket server for a while, under users: ``python run_ws_hung.py hung JSON``; prints JSON.

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
from recorder import Bench

from streamlab_plugin.users.websocket import WebSocketUser

LIMIT_S = 60.0
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
        _until(lambda: len(users) == GIVEN["users"] and all(user.answered_at for user in users))
        os.kill(GIVEN["pid"], signal.SIGSTOP)
        stopped, Client.hangs = perf_counter(), True
        gevent.sleep(GIVEN["hang_s"])
        _until(lambda: all(user.noticed_at for user in users))
        told["noticed_s"] = max(user.noticed_at for user in users) - stopped
        if GIVEN["resumes"]:
            os.kill(GIVEN["pid"], signal.SIGCONT)
            resumed = perf_counter()
            _until(lambda: all(user.answered_at > resumed for user in users))
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


def _until(condition: Any) -> None:
    with gevent.Timeout(LIMIT_S):
        while not condition():
            gevent.sleep(0.01)


if __name__ == "__main__":
    GIVEN = json.loads(sys.argv[2])
    print(json.dumps(globals()[sys.argv[1]]()))
