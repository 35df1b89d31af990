"""Drive WebSocketUser through a proxy: ``python run_ws_proxy.py SCENARIO JSON``; prints JSON.

JSON gives ``url`` and ``tls_url`` of the proxy, its ``authority`` and the ``pid`` of the server behind it.
"""

from __future__ import annotations

import itertools
import json
import os
import signal
import sys
from typing import Any

import gevent
from recorder import run_once, wait_for

from streamlab_plugin.users.tls import Tls
from streamlab_plugin.users.websocket import WebSocketUser

ANSWERED = 50
numbers = itertools.count(1)


def ask(user: WebSocketUser) -> bool:
    """Send one numbered request; tell whether it was answered."""
    return user.request({"seq": next(numbers)}, "ask") is not None


def exchange() -> Any:
    """Requests side by side with pushes between them, over ``ws://`` and then over ``wss://``."""

    def body(user: Any) -> Any:
        answered = []
        for user.host in (GIVEN["url"], GIVEN["tls_url"]):
            user.connect("/ws?push=2", user.host[:3])
            jobs = [gevent.spawn(ask, user) for _ in range(ANSWERED)]
            answered.append([job.get() for job in jobs].count(True))
            user.close()
        return answered

    return run_once(WebSocketUser, body, host=GIVEN["url"], tls=Tls(ca_file=GIVEN["authority"]))


def idle() -> Any:
    """A connection that is idle for too long, and one that pings keep open."""

    def body(user: Any) -> Any:
        user.connect("/ws", "idle")
        before = ask(user)
        wait_for(lambda: user._channel is None)
        after = ask(user)
        user.close()
        user.ping_interval_s = 0.1
        user.connect("/ws", "kept")
        channel = user._channel
        gevent.sleep(1.5)
        return [before, after, user._channel is channel, ask(user)]

    return run_once(WebSocketUser, body, host=GIVEN["url"])


def down() -> Any:
    """The server behind the proxy dies under a request, and is not there any more."""

    def body(user: Any) -> Any:
        user.connect("/ws?mute=1", "dies")
        job = gevent.spawn(ask, user)
        wait_for(lambda: user._channel.flights)
        os.kill(GIVEN["pid"], signal.SIGKILL)
        return [job.get(), user.connect("/ws", "gone"), ask(user)]

    return run_once(WebSocketUser, body, host=GIVEN["url"])


if __name__ == "__main__":
    GIVEN = json.loads(sys.argv[2])
    print(json.dumps(globals()[sys.argv[1]]()))
