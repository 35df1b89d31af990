"""Conformance against the library `ws` of Node, directly and with an nginx between."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from ports import connect_until_up, free_ports

from users.conftest import Drive, drive_script, of
from users.nginx import passed_on, running
from users.ws_peer import Peer, node

RUN = "run_ws_peer.py"
# `large` says 65,536 times "ü" in its field "fill", beside type or id.
FILL_BYTES = 2 * 65_536


@contextmanager
def behind_nginx(peer: Peer, folder: Path) -> Iterator[Peer]:
    """Put an nginx before *peer*."""
    first, third = free_ports(2), free_ports(2)
    upstream = int(peer.urls["plain"].rpartition(":")[2])
    ports = [first, first + 1, third, third + 1]
    with running(folder, ports, "http://127.0.0.1:9", passed_on("/node", upstream)) as nginx:
        for port in ports:
            connect_until_up(port)
        names = {"trusted": "localhost", "wrong_host": "elsewhere"}
        urls = {
            names.get(name, name): f"{'ws' if name == 'plain' else 'wss'}://127.0.0.1:{port}/node"
            for name, port in nginx.ports.items()
        }
        yield Peer(urls["plain"], peer.log, peer.pid, urls, nginx.authority)


@pytest.fixture
def peer(tmp_path: Path) -> Iterator[Peer]:
    """A server of the test's own."""
    with node(tmp_path) as started:
        yield started


@dataclass
class Done:
    """What was done, and what the server says of it."""

    peer: Peer
    result: dict[str, Any]

    def said(self, part: str) -> Any:
        """Return what a part of the driver has returned."""
        return self.result["returned"][0][part]

    def row(self, operation: str, name: str) -> dict[str, Any]:
        """Return the only row."""
        (row,) = of(self.result, operation, name=name)
        return row


@pytest.fixture(scope="module", params=["direct", pytest.param("nginx", marks=pytest.mark.faults)])
def done(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Done]:
    """Each operation once, in one user."""
    with node(tmp_path_factory.mktemp("node")) as peer:
        if request.param == "direct":
            yield Done(peer, drive_script(RUN, "operations", peer.given()))
        else:
            with behind_nginx(peer, tmp_path_factory.mktemp("nginx")) as proxy:
                yield Done(proxy, drive_script(RUN, "operations", proxy.given()))


class TestOperations:
    def test_handshake(self, done: Done) -> None:
        """Headers, cookie, query and subprotocols arrive; the server's choice comes back."""
        assert [True, "sync.v2", True] == done.said("handshake")
        (seen,) = done.peer.entries("opened", "/handshake")
        headers = seen["headers"]
        assert ("?device_id=7&name=a%20b", "sync.v2", "") == (
            seen["query"],
            seen["subprotocol"],
            seen["extensions"],
        )
        assert ("seven", "Bearer abc", "session=s1", "sync.v1,sync.v2") == (
            headers["x-tenant"],
            headers["authorization"],
            headers["cookie"],
            headers["sec-websocket-protocol"],
        )
        row = done.row("connect", "/handshake")
        assert ("success", 101, {"tcp_ms", "handshake_ms"}) == (
            row["outcome"],
            row["status"],
            set(row["payload"]),
        )

    def test_send(self, done: Done) -> None:
        """Each message arrives as it was, text as text and bytes as binary, and has a row with its size."""
        sent, raw = done.said("send")
        seen = done.peer.entries("seen", "/send")
        assert [True] * 9 == sent
        assert raw == [[one["seen"], one["sha1"]] for one in seen[:-1]]
        assert [False] * 7 + [True, False] == [one["isBinary"] for one in seen]
        rows = of(done.result, "send", outcome="success")
        assert [one["seen"] for one in seen] == [row["size"] for row in rows]
        assert seen[-1]["sha1"] == hashlib.sha1(rows[-1]["payload"].encode()).hexdigest()

    def test_request(self, done: Done) -> None:
        """A hundred in flight each get their own reply, whatever the order."""
        assert list(range(100)) == done.said("request")
        rows = of(done.result, "request", name="request", outcome="success")
        seen = [one["id"] for one in done.peer.entries("seen", "/request")]
        assert Counter(seen) == Counter(row["correlation_id"] for row in rows)

    def test_large(self, done: Done) -> None:
        """Text of 128 KiB goes there, and comes back in seven frames that are one reply."""
        assert 65_536 == done.said("large")
        (seen,) = done.peer.entries("seen", "/large")
        row = done.row("request", "large")
        assert seen["seen"] > FILL_BYTES
        assert ("success", seen["id"], len(row["payload"].encode())) == (
            row["outcome"],
            row["correlation_id"],
            row["size"],
        )
        assert row["size"] > FILL_BYTES

    def test_push(self, done: Done) -> None:
        """Five pushes are five rows in order, all but the first with the time since the last one."""
        rows = of(done.result, "push", name="push", direction="in", outcome="success")
        pushed = [row for row in rows if row["payload"] is not None]
        assert done.said("push") == [json.loads(row["payload"]) for row in pushed]
        assert [1, 2, 3, 4, 5] == [one["number"] for one in done.said("push")]
        assert [True] + [False] * 4 == [row["latency_ms"] is None for row in pushed]

    def test_binary_push(self, done: Done) -> None:
        """It reaches the hook as it was; the row has its size and no payload."""
        whole = (b"\x00\xc3\xbf\x7f" * 70_000)[:70_000]
        assert [[70_000, hashlib.sha1(whole).hexdigest()]] == done.said("binary")
        assert [70_000] == [row["size"] for row in of(done.result, "push", payload=None)]

    def test_ping_of_the_server(self, done: Done) -> None:
        """Each is answered with what it said, and is no row."""
        assert ["ping 1", "ping 2", "ping 3"] == [one["pong"] for one in done.peer.entries("pong", "/pinged")]
        assert [] == of(done.result, "ping", name="/pinged")

    def test_ping_of_our_own(self, done: Done) -> None:
        """As many rows as the server saw pings: those before the close are all answered."""
        rows = of(done.result, "ping", name="/pings", outcome="success")
        assert len(done.peer.entries("ping", "/pings")) == len(rows) >= 5
        assert all(row["latency_ms"] > 0 for row in rows)

    def test_close_of_our_own(self, done: Done) -> None:
        """The server gets code and reason; a reason that fits no frame is an error of the caller."""
        assert done.said("leave") is True
        (seen,) = done.peer.entries("closed", "/leave")
        row = done.row("close", "/leave")
        assert (4001, "x" * 123) == (seen["closed"], seen["reason"])
        assert ("success", 4001, "out") == (row["outcome"], row["status"], row["direction"])

    @pytest.mark.parametrize(
        ("place", "code", "text"),
        [
            ("/closed", 4003, "connection closed with 4003 told to"),
            ("/bare", 1005, "connection closed with 1005"),
            ("/vanished", 1006, "connection closed with 1006"),
            ("/too_large", 1009, "connection closed with 1009"),
        ],
    )
    def test_close_of_the_server(self, done: Done, place: str, code: int, text: str) -> None:
        """Its code and reason are those of the close and of the request that went down with it."""
        assert [None] * 4 == done.said("closed")
        row = done.row("close", place)
        assert ("error", "in", code, text) == (row["outcome"], row["direction"], row["status"], row["text"])
        (request,) = of(done.result, "request", name="request", outcome="error", status=code)
        assert text == request["text"]
        assert 1 == len(done.peer.entries("closed", place))

    def test_refused(self, done: Done) -> None:
        """A status other than 101 is the row's, and nothing of the answer's body is in it."""
        assert [False] * 3 == done.said("refused")
        rows = [done.row("connect", f"/refuse/{status}") for status in (401, 429, 503)]
        assert [(status, "error", f"handshake refused with HTTP {status}") for status in (401, 429, 503)] == [
            (row["status"], row["outcome"], row["text"]) for row in rows
        ]
        assert [401, 429, 503] == done.peer.noted("refused")

    def test_certificates(self, done: Done) -> None:
        """Only a good certificate is taken, unless nobody looks; nothing else reaches the server."""
        connected = {
            "localhost": (True, None),
            "elsewhere": (False, "SSLCertVerificationError"),
            "self_signed": (False, "SSLCertVerificationError"),
            "unchecked elsewhere": (True, None),
            "unchecked self_signed": (True, None),
            "unknown": (False, "SSLCertVerificationError"),
            "no tls there": (False, "SSLError"),
        }
        said = done.said("certificates")
        rows = {row["name"]: row for row in of(done.result, "connect")}
        assert connected == {name: (said[name], rows[name]["error"]) for name in connected}
        assert "ostname" in rows["elsewhere"]["text"] or "IP address mismatch" in rows["elsewhere"]["text"]
        assert (False, "error") == (said["tls not expected"], rows["tls not expected"]["outcome"])
        assert 3 == len(done.peer.entries("opened", "/tls"))

    def test_nothing_else(self, done: Done) -> None:
        """Each connection that the server has accepted has a close row; nothing raised, nothing stayed."""
        opened = done.peer.noted("opened")
        assert len(opened) == len(of(done.result, "close")) == len(done.peer.noted("closed"))
        assert (True, []) == (done.result["drained"], done.result["errors"])


class TestCount:
    def test_every_message_is_a_row(self, drive: Drive, peer: Peer) -> None:
        """Ten users: the ids that the server saw are those of the rows, and what it sent are rows, too."""
        count = 1_000
        result = drive(RUN, "many", peer.given(count=count))
        seen = peer.noted("id")
        rows = result["rows"]
        assert ({"success"}, True, []) == (
            {row["outcome"] for row in rows},
            result["drained"],
            result["errors"],
        )
        messages = [row["correlation_id"] for row in rows if row["operation"] in ("request", "send")]
        assert count == len(seen) == len(set(seen))
        assert set(seen) == set(messages)
        assert count == len(messages)
        kinds = Counter(row["operation"] for row in rows)
        # Three at each connection's beginning, and the answers to what expects none.
        assert 3 * 10 + kinds["send"] == kinds["push"]
        assert [10, 10] == [kinds["connect"], kinds["close"]]
