"""Drive WebSocketUser against a server in Node: ``python run_ws_peer.py SCENARIO JSON``.

JSON gives ``urls`` by the certificate that is shown there, ``authority`` (a file) and ``count``; prints JSON.
"""

from __future__ import annotations

import hashlib
import json
import sys
from typing import Any

import gevent
from locust import task
from recorder import Bench, run_once, wait_for

from streamlab_plugin.users.tls import Tls
from streamlab_plugin.users.websocket import WebSocketUser

TOO_LARGE_BYTES = 1024 * 1024 + 1


class Listener(WebSocketUser):
    """Keeps what it is pushed."""

    abstract = True
    ws_headers = {"X-Tenant": "seven", "Authorization": "Bearer abc"}  # noqa: RUF012
    ws_cookies = {"session": "s1"}  # noqa: RUF012
    ws_subprotocols = ("sync.v1", "sync.v2")

    def __init__(self, environment: Any) -> None:
        super().__init__(environment)
        self.got: list[Any] = []

    def on_push(self, message: Any) -> None:
        """Keep a message, of a binary one what `told` says."""
        self.got.append(told(message) if isinstance(message, bytes) else message)

    def listen(self, path: str, count: int) -> list[Any]:
        """Connect, wait for *count* pushes, close, and return them."""
        self.got.clear()
        self.connect(path)
        wait_for(lambda: len(self.got) >= count)
        self.close()
        return list(self.got)


def told(data: bytes) -> list[Any]:
    """Return the size and the digest of a message."""
    return [len(data), hashlib.sha1(data).hexdigest()]


def handshake(user: Listener) -> Any:
    """Headers, cookies, query, subprotocols."""
    return [user.connect("/handshake?device_id=7&name=a%20b"), user.subprotocol, user.close()]


def send(user: Listener) -> Any:
    """Text at the borders of the length's encoding, beyond ASCII, binary, JSON."""
    user.connect("/send")
    texts = ["x" * size for size in (0, 1, 125, 126, 65_535, 65_536)] + ["größer \N{GRINNING FACE} \0"]
    messages: list[Any] = [*texts, bytes(range(256)) * 300, {"seq": 1, "name": "größer"}]
    sent = [user.send(message, "send") for message in messages]
    user.close()
    raw = [message.encode() if isinstance(message, str) else message for message in messages[:-1]]
    return [sent, [told(one) for one in raw]]


def request(user: Listener) -> Any:
    """A hundred in flight on one socket, answered in the opposite order."""
    user.connect("/request?hold=100")
    jobs = [gevent.spawn(user.request, {"seq": number}, "request") for number in range(100)]
    replies = [job.get() for job in jobs]
    user.close()
    return [reply["seq"] for reply in replies]


def large(user: Listener) -> Any:
    """64 KB of text there and back, the answer in fragments."""
    user.connect("/large?fragments=7")
    reply = user.request({"fill": "ü" * 65_536}, "large")
    user.close()
    return reply is not None and len(reply["fill"])


def push(user: Listener) -> Any:
    """Pushes at once after the handshake."""
    return user.listen("/push?push=5", 5)


def binary(user: Listener) -> Any:
    """A binary push."""
    return user.listen("/binary?binary=70000", 1)


def pinged(user: Listener) -> Any:
    """The server asks for pongs and says when it has them all."""
    return user.listen("/pinged?ping=3", 1)


def pings(user: Listener) -> Any:
    """We ask, and the server says when it was the fifth time."""
    user.ping_interval_s = 0.01
    try:
        return user.listen("/pings", 1)
    finally:
        user.ping_interval_s = 0.0


def leave(user: Listener) -> Any:
    """We close with a code and the longest reason there is."""
    user.connect("/leave")
    try:
        user.close(4001, "x" * 124)
    except ValueError:
        return user.close(4001, "x" * 123)


def closed(user: Listener) -> Any:
    """The server closes under a request: with code and reason, without, for the size, and not at all."""
    replies = []
    for path in ("/closed?close=4003&reason=told%20to", "/bare?close=0", "/vanished?terminate=1"):
        user.connect(path)
        replies.append(user.request({"seq": 1}, "request"))
    user.connect("/too_large")
    replies.append(user.request({"fill": "x" * TOO_LARGE_BYTES}, "request"))
    return replies


def refused(user: Listener) -> Any:
    """Handshakes answered with a status."""
    return [user.connect(f"/refuse/{status}") for status in (401, 429, 503)]


def certificates(user: Listener) -> Any:
    """Certificates that are good, self-signed, another host's; unchecked; TLS against plain, and reverse."""
    known = Tls(ca_file=GIVEN["authority"])
    tries = [(name, URLS[name], known) for name in ("localhost", "elsewhere", "self_signed") if name in URLS]
    tries += [(f"unchecked {name}", url, Tls(verify=False)) for name, url, _tls in tries[1:]]
    tries += [
        ("unknown", URLS["localhost"], Tls()),
        ("no tls there", URLS["plain"].replace("ws:", "wss:"), known),
        ("tls not expected", URLS["localhost"].replace("wss:", "ws:"), known),
    ]
    connected = {}
    for name, user.host, user.tls in tries:
        connected[name] = user.connect("/tls", name)
        user.close()
    return connected


def operations() -> Any:
    """All of the above, one after the other in one user."""

    def body(user: Any) -> Any:
        parts = (handshake, send, request, large, push, binary, pinged, pings, leave, closed, refused)
        return {part.__name__: part(user) for part in (*parts, certificates)}

    return run_once(Listener, body, host=URLS["plain"], connect_timeout_s=5.0)


def many() -> Any:
    """Ten users that send *count* messages together, three of four of them requests."""
    left, open_ = GIVEN["count"], 0

    class Device(WebSocketUser):
        host = URLS["plain"]
        ws_path = "/many?push=3"

        @task
        def tell(self) -> None:
            nonlocal left, open_
            if left == 0:
                gevent.sleep(600)
            left, open_, number = left - 1, open_ + 1, left
            if number % 4:
                self.request({"seq": number}, "request")
            else:
                self.send({"correlation_id": f"sent {number}"}, "send")
            open_ -= 1

    bench = Bench(Device)
    bench.run(10, lambda: left == open_ == 0, limit_s=50)
    rows = [
        {key: row[key] for key in ("operation", "outcome", "correlation_id")} for row in bench.recorder.rows
    ]
    return {"rows": rows, "drained": bench.drained, "errors": bench.errors}


if __name__ == "__main__":
    GIVEN = json.loads(sys.argv[2])
    URLS: dict[str, str] = GIVEN["urls"]
    print(json.dumps(globals()[sys.argv[1]]()))
