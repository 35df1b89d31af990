from __future__ import annotations

import json
from collections import Counter

import pytest

from users.conftest import Drive, Target, of

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

    def test_keeps_an_id_of_the_message(self, drive: Drive, ws_target: Target) -> None:
        """A correlation id that the message has is used."""
        result = drive(RUN, "own_id", ws_target.address)
        assert ["mine"] == [row["correlation_id"] for row in of(result, "request")]

    def test_several_in_flight(self, drive: Drive, ws_target: Target) -> None:
        """Twenty greenlets each get their own reply, pushes in between are pushes."""
        result = drive(RUN, "parallel", ws_target.address)
        assert [[True], 20, 40] == [result["returned"], len(of(result, "request")), len(of(result, "push"))]

    def test_timeout_and_late_reply(self, drive: Drive, ws_target: Target) -> None:
        """A request without reply is a timeout, and a reply that comes too late is no push."""
        result = drive(RUN, "timeout", ws_target.address)
        assert ["timeout"] == [row["outcome"] for row in of(result, "request")]
        assert of(result, "push") == []
        assert result["returned"] == [None]

    def test_pings_beside_requests(self, drive: Drive, ws_target: Target) -> None:
        """Pings of our own share the socket without harm and have no rows."""
        result = drive(RUN, "ping", ws_target.address)
        assert [[300], 302, []] == [result["returned"], len(result["rows"]), result["errors"]]


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
        """Pushes are rows without latency; what the hook raises is reported and ends nothing."""
        result = drive(RUN, "hook", ws_target.address)
        assert [("event", "in", None, "success")] * 3 == [
            (row["name"], row["direction"], row["latency_ms"], row["outcome"]) for row in of(result, "push")
        ]
        assert result["returned"] == [[True, [1, 2, 3]]]
        assert result["errors"] == [
            "ValueError: hook broke",
            "RuntimeError: on_push cannot wait for a reply: spawn a greenlet for that",
        ]

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


class TestKill:
    @pytest.mark.parametrize("seed", [1, 2, 3])
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
