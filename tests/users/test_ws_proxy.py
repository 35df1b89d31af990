"""WebSockets through nginx, to a server made with the library websockets."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from ports import connect_until_up, free_ports

from users.conftest import Drive, Target, of
from users.nginx import Nginx, passed_on, running

RUN = "run_ws_proxy.py"
IDLE_S = 1
ANSWERED = 50


@pytest.fixture
def proxy(ws_target: Target, tmp_path: Path) -> Iterator[Nginx]:
    """An nginx that ends connections which are idle for a second."""
    first, third = free_ports(2), free_ports(2)
    locations = passed_on("/api", int(ws_target.address.rpartition(":")[2]), f"{IDLE_S}s")
    ports = [first, first + 1, third, third + 1]
    with running(tmp_path, ports, "http://127.0.0.1:9", locations) as server:
        for port in ports:
            connect_until_up(port)
        yield server


def given(proxy: Nginx, target: Target) -> str:
    """Return what the driver has to know."""
    return json.dumps(
        {
            "url": f"ws://127.0.0.1:{proxy.ports['plain']}/api",
            "tls_url": f"wss://127.0.0.1:{proxy.ports['trusted']}/api",
            "authority": str(proxy.authority),
            "pid": target.pid,
        }
    )


class TestProxy:
    def test_exchange(self, drive: Drive, proxy: Nginx, ws_target: Target) -> None:
        """With and without TLS: rows are what the server saw and sent, connects what nginx passed on."""
        result = drive(RUN, "exchange", given(proxy, ws_target))
        assert [[ANSWERED, ANSWERED]] == result["returned"]
        rows = of(result, "request", outcome="success")
        assert sorted(ws_target.noted("seen")) == sorted(json.loads(row["payload"])["seq"] for row in rows)
        pushed = [json.loads(row["payload"])["number"] for row in of(result, "push")]
        assert sorted(ws_target.noted("push")) == sorted(pushed)
        assert {"ws:": ["handshake_ms", "tcp_ms"], "wss": ["handshake_ms", "tcp_ms", "tls_ms"]} == {
            row["name"]: sorted(row["payload"]) for row in of(result, "connect", status=101)
        }
        assert [101, 101] == [entry["status"] for entry in proxy.seen()]
        assert [("success", 1000)] * 2 == [(row["outcome"], row["status"]) for row in of(result, "close")]

    def test_idle(self, drive: Drive, proxy: Nginx, ws_target: Target) -> None:
        """Ended by nginx without a goodbye it is an error with 1006; pings keep a connection."""
        result = drive(RUN, "idle", given(proxy, ws_target))
        assert [[True, True, True, True]] == result["returned"]
        assert [
            ("idle", "error", 1006, "in"),
            ("idle", "success", 1000, "out"),
            ("kept", "success", 1000, "out"),
        ] == [(row["name"], row["outcome"], row["status"], row["direction"]) for row in of(result, "close")]
        assert ["success"] * 3 == [row["outcome"] for row in of(result, "request")]
        assert [101] * 3 == [row["status"] for row in of(result, "connect")]
        assert len(of(result, "ping", outcome="success")) >= 1

    def test_nobody_behind_it(self, drive: Drive, proxy: Nginx, ws_target: Target) -> None:
        """The server's death is 1006 for connection and request; after it nginx refuses with 502."""
        result = drive(RUN, "down", given(proxy, ws_target))
        assert [[False, False, False]] == result["returned"]
        assert [("ask", "error", 1006)] == [
            (row["name"], row["outcome"], row["status"]) for row in of(result, "request")
        ]
        assert [("dies", "error", 1006)] == [
            (row["name"], row["outcome"], row["status"]) for row in of(result, "close")
        ]
        assert [("gone", 502, "handshake refused with HTTP 502")] * 2 == [
            (row["name"], row["status"], row["text"]) for row in of(result, "connect", outcome="error")
        ]
        assert [101, 502, 502] == [entry["status"] for entry in proxy.seen()]
