from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest

from users.conftest import Drive, Target, of

RUN = "run_sse.py"


def named(result: dict[str, Any], name: str) -> list[dict[str, Any]]:
    """Return the rows of one stream."""
    return [row for row in result["rows"] if row["name"] == name]


def numbers(rows: list[dict[str, Any]]) -> list[int]:
    """Return the numbers of the events in *rows*."""
    events = [row for row in rows if row["operation"] in ("first_event", "event")]
    return [json.loads(row["payload"])["number"] for row in events]


class TestEnd:
    def test_every_end(self, drive: Drive, kind: str, sse_target: Target) -> None:
        """However a stream ends: its open, each event received, and one close with the right outcome."""
        result = drive(RUN, f"{kind}:ends", sse_target.address)
        got = result["returned"][0]
        errors = {
            "fast": {"cut": "HTTPParseError", "reset": "ConnectionResetError"},
            "requests": {"cut": "IncompleteRead", "reset": "ConnectionResetError"},
        }
        closes = {
            **dict.fromkeys(("chunked", "length", "close", "cr", "crlf"), ("in", "success", None)),
            **{name: ("in", "error", error) for name, error in errors[kind].items()},
            "silent": ("in", "timeout", "TimeoutError"),
            "endless": ("in", "error", "EventTooLargeError"),
            **dict.fromkeys(("left", "raised", "limited"), ("out", "success", None)),
        }
        assert set(closes) == set(got)
        for name, close in closes.items():
            rows = named(result, name)
            whole = name not in ("left", "raised")
            assert ("GET", "out", 200, "success") == tuple(
                rows[0][key] for key in ("operation", "direction", "status", "outcome")
            )
            assert close == tuple(rows[-1][key] for key in ("direction", "outcome", "error")), name
            assert ("close", None) == (rows[-1]["operation"], rows[-1]["latency_ms"])
            if whole:
                assert ["first_event", "event", "event"] == [row["operation"] for row in rows[1:-1]], name
                assert [1, 2, 3] == numbers(rows) == got[name]
            assert {rows[0]["correlation_id"]} == {row["correlation_id"] for row in rows}
        assert ([1, True], [False]) == (got["left"], got["raised"])

    @pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.faults)])
    def test_kill(self, drive: Drive, kind: str, sse_target: Target, seed: int) -> None:
        """Whenever users are killed: one close per open stream, no event twice, none that was not sent."""
        result = drive(RUN, f"{kind}:kill", sse_target.address, seed)
        opened = Counter(row["correlation_id"] for row in of(result, "GET", outcome="success"))
        closed = Counter(row["correlation_id"] for row in of(result, "close"))
        assert set(opened.values()) == {1}
        assert opened == closed
        assert {"out"} == {row["direction"] for row in of(result, "close")}
        assert {"success"} == {row["outcome"] for row in of(result, "close")}
        for one in opened:
            seen = numbers([row for row in result["rows"] if row["correlation_id"] == one])
            assert list(range(1, len(seen) + 1)) == seen
        requested = {request["id"] for request in sse_target.noted("request")}
        assert requested <= {row["correlation_id"] for row in of(result, "GET")}
        assert len(numbers(result["rows"])) <= len(sse_target.noted("sent"))
        assert (True, len(result["rows"]), []) == (result["drained"], result["late"], result["errors"])


class TestOpen:
    def test_answers_that_are_no_stream(self, drive: Drive, kind: str, sse_target: Target) -> None:
        """A refusal is the row of the request, and nothing else; an answer is not asked for again."""
        result = drive(RUN, f"{kind}:refusals", sse_target.address)
        assert [
            ("none", "success", 204),
            ("unavailable", "error", 503),
            ("page", "error", 200),
            ("packed", "error", 200),
            ("down", "error", None),
        ] == [(row["name"], row["outcome"], row["status"]) for row in result["rows"]]
        assert ([False], 4) == (result["returned"], len(sse_target.noted("request")))

    def test_post(self, drive: Drive, kind: str, sse_target: Target) -> None:
        """A stream may answer any request; its rows are those of that request's trace."""
        result = drive(RUN, f"{kind}:posted", sse_target.address)
        seen, count, last_id, first_event_ms = result["returned"][0]
        assert ([["tick", "1"], ["tick", "2"], ["tick", "3"]], 3, "3") == (seen, count, last_id)
        (request,) = sse_target.noted("request")
        assert ("POST", {"prompt": "x"}, "text/event-stream") == (
            request["method"],
            json.loads(request["body"]),
            request["accept"],
        )
        rows = result["rows"]
        assert {request["trace"].split("-")[1]} == {row["correlation_id"] for row in rows}
        assert {"prompt": "x"} == json.loads(rows[0]["payload"])
        assert first_event_ms == rows[1]["latency_ms"] >= rows[0]["latency_ms"]
        assert all(row["latency_ms"] > 0 for row in of(result, "event"))
        # A gap begins where the one before it ended.
        first, second = of(result, "event")
        assert first["start_time"] + first["latency_ms"] / 1000 == pytest.approx(second["start_time"])


class TestReconnect:
    def test_goes_on_behind_the_last_event(self, drive: Drive, kind: str, sse_target: Target) -> None:
        """Each connection has its own open and close; 204 ends it, and what came in vain does, too."""
        result = drive(RUN, f"{kind}:reconnects", sse_target.address)
        assert [[[1, 2, 3, 4, 5, 6], [1, 2, 3, 4], []]] == result["returned"]
        assert [None, "2", "4", "6", None, "2", "4", None] == [
            request["last"] for request in sse_target.noted("request")
        ]
        assert [200, 200, 200, 204] == [
            row["status"] for row in named(result, "until 204") if row["operation"] == "GET"
        ]
        assert ["error"] * 2 == [row["outcome"] for row in of(result, "close", name="after a loss")]


class TestCount:
    def test_every_event_is_a_row(self, drive: Drive, kind: str, sse_target: Target) -> None:
        """Twenty streams of 200 events: what was sent, recorded and handed out is the same."""
        result = drive(RUN, f"{kind}:many", sse_target.address)
        assert [list(range(1, 201))] * 20 == result["numbers"]
        assert Counter(sse_target.noted("sent")) == Counter(numbers(result["rows"]))
        assert [20, 20, 20] == [len(of(result, one)) for one in ("GET", "first_event", "close")]
        assert 20 * 199 == len(of(result, "event"))
