from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
import trustme

from users.conftest import HERE, Drive, Target, of, serve

RUN = "run_websocket.py"


class TestRequest:
    def test_one_row_for_request_and_reply(self, drive: Drive, ws_target: Target) -> None:
        """The row has the reply's text and size, and the id that was put into the message."""
        result = drive(RUN, "request", ws_target.address)
        (row,) = of(result, "request")
        reply = json.loads(row["payload"])
        assert (reply["correlation_id"], len(row["payload"]), "success", "Api", "sync", "websocket") == (
            row["correlation_id"],
            row["size"],
            row["outcome"],
            row["user_class"],
            row["name"],
            row["protocol"],
        )
        assert result["returned"] == [[reply, True, True]]
        assert row["latency_ms"] > 0

    def test_busy(self, drive: Drive, ws_target: Target) -> None:
        """The reply counts from when it came to this machine, not from when the process had time for it."""
        _, row = of(drive(RUN, "busy", ws_target.address), "request")
        assert 0 < row["latency_ms"] < 200

    def test_keeps_an_id_of_the_message(self, drive: Drive, ws_target: Target) -> None:
        """A correlation id that the message has is used."""
        result = drive(RUN, "own_id", ws_target.address)
        assert ["mine"] == [row["correlation_id"] for row in of(result, "request")]

    def test_several_in_flight(self, drive: Drive, ws_target: Target) -> None:
        """Twenty greenlets each get their own reply, pushes in between are pushes."""
        result = drive(RUN, "parallel", ws_target.address)
        assert [[True], 20, 40] == [result["returned"], len(of(result, "request")), len(of(result, "push"))]

    def test_timeout_and_late_reply(self, drive: Drive, ws_target: Target) -> None:
        """A request without reply is a timeout; a reply that comes too late is late, and no push."""
        result = drive(RUN, "timeout", ws_target.address)
        (request,) = of(result, "request")
        (late,) = of(result, "late")
        assert ("timeout", request["correlation_id"]) == (request["outcome"], late["correlation_id"])
        assert ("late", "in", "success") == (late["name"], late["direction"], late["outcome"])
        assert late["latency_ms"] > request["latency_ms"]
        assert of(result, "push") == []
        assert result["returned"] == [None]

    def test_second_reply(self, drive: Drive, ws_target: Target) -> None:
        """A request that is answered twice has one row, and the second answer is an orphan."""
        result = drive(RUN, "twice", ws_target.address)
        assert [[True, True]] == result["returned"]
        assert [2, 2, 0] == [len(of(result, kind)) for kind in ("request", "orphan", "push")]
        assert [row["correlation_id"] for row in of(result, "request")] == [
            row["correlation_id"] for row in of(result, "orphan")
        ]

    def test_ids_inside_objects(self, drive: Drive, ws_target: Target) -> None:
        """Request and reply may carry the id at different paths."""
        result = drive(RUN, "nested", ws_target.address)
        (row,) = of(result, "request")
        assert [{"type": "reply", "re": {"id": row["correlation_id"]}}] == result["returned"]


class TestPing:
    def test_beside_requests(self, drive: Drive, ws_target: Target) -> None:
        """Pings of our own share the socket without harm, and each pong is a row."""
        result = drive(RUN, "ping", ws_target.address)
        pings = of(result, "ping")
        assert [[300], 302, []] == [result["returned"], len(result["rows"]) - len(pings), result["errors"]]
        assert {("/ws", "success")} == {(row["name"], row["outcome"]) for row in pings}

    def test_server_that_hangs(self, ws_target: Target) -> None:
        """Without a pong in time the connection counts as lost, and the user is free again."""
        command = [sys.executable, str(HERE / RUN), "hung", ws_target.address]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            assert process.stderr is not None
            assert any(line.strip() == "connected" for line in process.stderr)
            os.kill(ws_target.pid, signal.SIGSTOP)
            try:
                output, _errors = process.communicate(timeout=40)
            finally:
                os.kill(ws_target.pid, signal.SIGCONT)
        result = json.loads(output)
        assert [True] == result["returned"]
        assert ("timeout", "no pong in time") == (
            of(result, "ping")[-1]["outcome"],
            of(result, "ping")[-1]["text"],
        )
        assert [("error", 1006)] == [(row["outcome"], row["status"]) for row in of(result, "close")]


class TestSend:
    def test_row_has_what_was_sent(self, drive: Drive, ws_target: Target) -> None:
        """A message without reply is recorded with its own payload."""
        (row,) = of(drive(RUN, "request", ws_target.address), "send")
        assert ('{"seq":2}', 9, "tell", "success") == (
            row["payload"],
            row["size"],
            row["name"],
            row["outcome"],
        )
        assert ws_target.noted("seen") == [1, 2]


class TestConnect:
    def test_recorded_under_the_path(self, drive: Drive, ws_target: Target) -> None:
        """The first send connects; the name has no query."""
        (row,) = of(drive(RUN, "request", ws_target.address), "connect")
        assert ("/ws/a", 101, "success") == (row["name"], row["status"], row["outcome"])

    def test_phases(self, drive: Drive, ws_target: Target) -> None:
        """The row says how long each part took."""
        (row,) = of(drive(RUN, "request", ws_target.address), "connect")
        phases = row["payload"]
        assert ["handshake_ms", "tcp_ms"] == sorted(phases)
        assert row["latency_ms"] >= sum(phases.values()) > 0

    def test_cookies_and_subprotocol(self, drive: Drive, ws_target: Target) -> None:
        """The server sees what the user offers, and the user sees the server's choice."""
        result = drive(RUN, "handshake", ws_target.address)
        assert [[True, "sync.v2"]] == result["returned"]
        assert [["session=s1; theme=dark"], ["sync.v2"]] == [
            ws_target.noted("cookie"),
            ws_target.noted("subprotocol"),
        ]

    def test_comes_back_by_itself(self, drive: Drive, ws_target: Target) -> None:
        """A lost connection is opened again without a send, after a delay that the row tells."""
        result = drive(RUN, "listen", ws_target.address)
        assert [True] == result["returned"]
        connects = of(result, "connect", outcome="success")
        assert 3 <= len(connects) <= len(ws_target.noted("opened")) <= len(of(result, "connect"))
        assert [None] == [row["wait_ms"] for row in connects[:1]]
        assert all(0 <= row["wait_ms"] for row in connects[1:])

    def test_refused(self, drive: Drive, ws_target: Target) -> None:
        """An HTTP status instead of 101 is the row's status; nothing else is recorded."""
        result = drive(RUN, "refused", ws_target.address)
        (row,) = result["rows"]
        assert ("connect", "error", 403, "handshake refused with HTTP 403") == (
            row["operation"],
            row["outcome"],
            row["status"],
            row["text"],
        )
        assert result["returned"] == [None]

    def test_nobody_there(self, drive: Drive, ws_target: Target) -> None:
        """A refused TCP connection is a failed connect, not a failed request."""
        (row,) = drive(RUN, "down", ws_target.address)["rows"]
        assert ("connect", "error", "ConnectionRefusedError") == (
            row["operation"],
            row["outcome"],
            row["error"],
        )


class TestPush:
    def test_reaches_the_hook(self, drive: Drive, ws_target: Target) -> None:
        """Pushes are rows; what the hook raises is reported and ends nothing."""
        result = drive(RUN, "hook", ws_target.address)
        assert [("event", "in", "success")] * 3 == [
            (row["name"], row["direction"], row["outcome"]) for row in of(result, "push")
        ]
        assert result["returned"] == [[True, [1, 2, 3]]]
        assert result["errors"] == [
            "ValueError: hook broke",
            "RuntimeError: on_push cannot wait for a reply: spawn a greenlet for that",
        ]

    def test_gap(self, drive: Drive, ws_target: Target) -> None:
        """A push tells the time since the last one of its connection; a slow consumer leaves such gaps."""
        first, *others = of(drive(RUN, "slow_reader", ws_target.address), "push")
        assert first["latency_ms"] is None
        assert 9 == len(others)
        assert all(row["latency_ms"] >= 20 for row in others)

    def test_broken_text(self, drive: Drive, ws_target: Target) -> None:
        """Bad UTF-8 and bad JSON are error rows without payload, and say nothing of their content."""
        rows = of(drive(RUN, "bad", ws_target.address), "push")
        assert [
            ("error", None, "message is not UTF-8"),
            ("error", None, "message is not JSON (DecodeError)"),
        ] == [(row["outcome"], row["payload"], row["text"]) for row in rows]


class TestClose:
    def test_of_our_own(self, drive: Drive, ws_target: Target) -> None:
        """Closing is a success with the server's code."""
        (row,) = of(drive(RUN, "request", ws_target.address), "close")
        assert ("success", 1000, "out", "/ws/a") == (
            row["outcome"],
            row["status"],
            row["direction"],
            row["name"],
        )

    def test_by_the_server(self, drive: Drive, ws_target: Target) -> None:
        """It is one error with the code, what was in flight ends with it, and the next send reconnects."""
        result = drive(RUN, "closed", ws_target.address)
        assert [[[None, None], True]] == result["returned"]
        assert [1013, 1013] == [row["status"] for row in of(result, "request", outcome="error")]
        assert [("error", 1013, "in"), ("success", 1000, "out")] == [
            (row["outcome"], row["status"], row["direction"]) for row in of(result, "close")
        ]
        assert len(of(result, "connect", outcome="success")) == 2

    def test_connection_vanishes(self, drive: Drive, ws_target: Target) -> None:
        """Without a close frame the code is 1006; the user goes on."""
        result = drive(RUN, "dropped", ws_target.address)
        assert [[True, True, False] * 3] == result["returned"]
        assert [("error", 1006)] * 3 == [(row["outcome"], row["status"]) for row in of(result, "close")]
        assert [1006] * 3 == [row["status"] for row in of(result, "request", outcome="error")]


class TestTls:
    @pytest.fixture(scope="class")
    def authority(self) -> trustme.CA:
        """One that nobody knows."""
        return trustme.CA()

    @pytest.mark.parametrize(
        ("host", "knows", "verify", "error"),
        [
            ("127.0.0.1", True, True, None),
            ("127.0.0.1", False, True, "SSLCertVerificationError"),
            ("elsewhere.example", True, True, "SSLCertVerificationError"),
            ("elsewhere.example", False, False, None),
        ],
    )
    def test_certificate(
        self, tmp_path: Path, authority: trustme.CA, host: str, knows: bool, verify: bool, error: str | None
    ) -> None:
        """Only one of a known authority, for the host that was asked, is trusted; unless told not to look."""
        certificate, known = tmp_path / "server.pem", tmp_path / "authority.pem"
        authority.issue_cert(host).private_key_and_cert_chain_pem.write_to_path(str(certificate))
        authority.cert_pem.write_to_path(str(known))
        variables = {"CA_FILE": str(known)} if knows else {}
        if not verify:
            variables["VERIFY"] = "0"
        for port, _log, _pid in serve("ws_target.py", tmp_path / "log", str(certificate)):
            command = [sys.executable, str(HERE / RUN), "trusted", f"wss://127.0.0.1:{port}"]
            done = subprocess.run(
                command,
                capture_output=True,
                text=True,
                timeout=60,
                check=True,
                env={**os.environ, **variables},
            )
        result = json.loads(done.stdout)
        (row,) = of(result, "connect")
        assert ("success" if error is None else "error", error) == (row["outcome"], row["error"])
        assert [error is None] == result["returned"]
        assert (error is None) == ("handshake_ms" in row["payload"])


class TestKill:
    @pytest.mark.parametrize(
        "seed", [1, pytest.param(2, marks=pytest.mark.faults), pytest.param(3, marks=pytest.mark.faults)]
    )
    def test_rows_are_what_the_server_saw(self, drive: Drive, ws_target: Target, seed: int) -> None:
        """Whenever users are killed: one row per message; pushes and connections as the server has them."""
        result = drive(RUN, "kill", ws_target.address, seed)
        rows = [row for row in result["rows"] if row["operation"] in ("request", "send")]
        recorded = Counter(int(row["name"].removeprefix("seq ")) for row in rows)
        seen = ws_target.noted("seen")
        assert set(recorded.values()) == {1}
        assert set(seen) <= set(recorded)
        done = {int(row["name"].removeprefix("seq ")) for row in rows if row["outcome"] != "interrupted"}
        assert done <= set(seen)
        pushed = [json.loads(row["payload"])["number"] for row in of(result, "push")]
        assert sorted(ws_target.noted("push")) == sorted(pushed)
        assert ["success"] * len(ws_target.noted("opened")) == [row["outcome"] for row in of(result, "close")]
        assert {"success", "interrupted"} == {row["outcome"] for row in result["rows"]}
        assert (True, len(result["rows"]), []) == (result["drained"], result["late"], result["errors"])

    def test_works_without_a_gate(self, drive: Drive, ws_target: Target) -> None:
        """Where Streamlab is not installed nothing breaks; only the interrupted rows are missing."""
        result = drive(RUN, "bare", ws_target.address, 1)
        assert {"success"} == {row["outcome"] for row in result["rows"]}
        assert (True, []) == (result["drained"], result["errors"])
