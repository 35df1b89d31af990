from __future__ import annotations

import json
from collections import Counter

import pytest

from users.conftest import Drive, Target

RUN = "run_http.py"


class TestRequest:
    def test_recorded_with_id_and_answer(self, drive: Drive, kind: str, http_target: Target) -> None:
        """The id goes out as a header and into the row; JSON is kept unless streamed or too large."""
        result = drive(RUN, f"{kind}:plain", http_target.address)
        rows, returned = result["rows"], result["returned"][0]
        assert http_target.noted("id") == [row["correlation_id"] for row in rows]
        assert [rows[0]["correlation_id"], "mine"] == returned[:2]
        kept = [json.loads(row["payload"])["id"] if row["payload"] else None for row in rows]
        assert [returned[0], "mine", None, None, None, rows[5]["correlation_id"]] == kept
        assert [(200, "success")] * 5 + [(503, "error")] == [(row["status"], row["outcome"]) for row in rows]
        assert {("GET", "http", "Web"), ("POST", "http", "Web")} == {
            (row["operation"], row["protocol"], row["user_class"]) for row in rows
        }

    def test_busy(self, drive: Drive, http_target: Target) -> None:
        """The answer counts from when it came to this machine, not from when the process had time for it."""
        _, *rows = drive(RUN, "fast:busy", http_target.address)["rows"]
        assert ["busy", "busy"] == [row["name"] for row in rows]
        assert [] == [row["latency_ms"] for row in rows if not 100 <= row["latency_ms"] < 300]

    def test_header_of_another_name(self, drive: Drive, kind: str, http_target: Target) -> None:
        """The header's name can be set; the target then sees no X-Correlation-ID."""
        result = drive(RUN, f"{kind}:own_header", http_target.address)
        assert ([None], 32) == (http_target.noted("id"), len(result["rows"][0]["correlation_id"]))

    def test_timeout(self, drive: Drive, kind: str, http_target: Target) -> None:
        """No answer in time is a timeout without status."""
        (row,) = drive(RUN, f"{kind}:timeout", http_target.address)["rows"]
        assert ("timeout", None) == (row["outcome"], row["status"])

    def test_nobody_there(self, drive: Drive, kind: str, http_target: Target) -> None:
        """A refused connection is an error without status."""
        (row,) = drive(RUN, f"{kind}:down", http_target.address)["rows"]
        assert ("error", None, "ConnectionRefusedError") == (row["outcome"], row["status"], row["error"])

    def test_time_limit_of_the_task(self, drive: Drive, kind: str, http_target: Target) -> None:
        """A gevent.Timeout around the request is a timeout, too."""
        result = drive(RUN, f"{kind}:own_timeout", http_target.address)
        assert (["timeout"], ["went on"]) == ([row["outcome"] for row in result["rows"]], result["returned"])

    def test_answers_that_cannot_be_taken_in(self, drive: Drive, kind: str, http_target: Target) -> None:
        """The target saw each request, so each has a row; what is raised still reaches the task."""
        result = drive(RUN, f"{kind}:broken", http_target.address)
        expected = {
            "fast": {
                "/broken": ("error", 200, "ValueError"),
                "/lie": ("error", 200, "error"),
                "/bytes?code=404": ("error", 404, "LocustBadStatusCode"),
                "/broken?code=500": ("error", 500, "ValueError"),
                "/lie?code=500": ("error", 500, "error"),
                "/odd": ("error", None, "UnsupportedRedirectSchemeError"),
            },
            "requests": {
                "/broken": ("success", 200, None),  # handed over as it is
                "/lie": ("error", None, "ContentDecodingError"),
                "/bytes?code=404": ("error", 404, "HTTPError"),
                "/broken?code=500": ("error", 500, "HTTPError"),
                "/lie?code=500": ("error", None, "ContentDecodingError"),
                "/odd": ("error", 302, "InvalidSchema"),
            },
        }
        assert expected[kind] == {
            row["name"]: (row["outcome"], row["status"], row["error"]) for row in result["rows"]
        }
        assert len(http_target.noted("seen")) == len(result["rows"])
        raised = {"fast": {"/broken", "/broken?code=500"}, "requests": {"/odd"}}
        assert raised[kind] == set(result["returned"][0])

    def test_bad_input(self, drive: Drive, http_target: Target) -> None:
        """A value that cannot be is refused at once, with the value."""
        assert [
            "idle_timeout_s must be above 0, got 0",
            "reconnects must not be below 0, got -1",
            "Wrong.captured_types must be a tuple of texts, got 'json': write ('json',)",
        ] == drive(RUN, "fast:bad_input", http_target.address)["returned"][0]


class TestTrace:
    def test_context_goes_out(self, drive: Drive, kind: str, http_target: Target) -> None:
        """Each request is a trace of its own, sampled; its id is the correlation id, in both headers."""
        rows = drive(RUN, f"{kind}:traced", http_target.address)["rows"]
        traces = [trace.split("-") for trace in http_target.noted("trace")]
        ids = [row["correlation_id"] for row in rows]
        new = [0, 1, 4]
        assert [("00", 32, 16, "01")] * 3 == [
            (traces[at][0], len(traces[at][1]), len(traces[at][2]), traces[at][3]) for at in new
        ]
        assert 6 == len({part for at in new for part in traces[at][1:3]})
        assert [*(traces[at][1] for at in (0, 1)), "a" * 32, "mine", traces[4][1]] == ids
        assert [ids[0], ids[1], ids[2], "mine", "mine"] == http_target.noted("id")
        assert ["b" * 16, ["broken"]] == [traces[2][2], traces[3]]


class TestPayload:
    def test_what_was_sent(self, drive: Drive, kind: str, http_target: Target) -> None:
        """JSON and forms that were sent are kept where the answer has none; what is too large is not."""
        rows = drive(RUN, f"{kind}:captured", http_target.address)["rows"]
        assert "form=field" == rows[3]["payload"]
        rows[3]["payload"] = None
        kept = [json.loads(row["payload"]) if row["payload"] else None for row in rows]
        sent = [
            {"sent": 1},
            rows[1]["correlation_id"],
            {"sent": 2},
            None,
            None,
            rows[5]["correlation_id"],
            None,
        ]
        assert sent == [one.get("id", one) if one else None for one in kept]

    def test_types(self, drive: Drive, kind: str, http_target: Target) -> None:
        """A class says which types it keeps, and keeps no request unasked."""
        rows = drive(RUN, f"{kind}:captured_types", http_target.address)["rows"]
        assert [True, False, False] == [row["payload"] is not None for row in rows]


class TestBlock:
    def test_every_way_out_has_a_row(self, drive: Drive, kind: str, http_target: Target) -> None:
        """Marked, raised, left early, timed out: one row each."""
        rows = drive(RUN, f"{kind}:blocks", http_target.address)["rows"]
        assert {
            "nothing": ("success", None),
            "failure": ("error", "CatchResponseError"),
            "error": ("error", "KeyError"),
            "reschedule": ("success", None),
            "marked, then error": ("error", "CatchResponseError"),
            "timeout": ("timeout", "Timeout"),
            "found": ("success", None),
            "rest": ("error", "CatchResponseError"),
        } == {row["name"]: (row["outcome"], row["error"]) for row in rows}
        assert len(rows) == 8

    def test_otherwise_like_locusts_user(self, drive: Drive, kind: str, http_target: Target) -> None:
        """Locust's table is the same, but for the three blocks that Locust's users forget."""
        ours = drive(RUN, f"{kind}:blocks", http_target.address)["table"]
        theirs = drive(RUN, f"{kind}:blocks_of_locust", http_target.address)["table"]
        assert {"GET error", "GET reschedule", "GET timeout"} == set(ours) - set(theirs)
        assert theirs == {name: counts for name, counts in ours.items() if name in theirs}


class TestKill:
    @pytest.mark.parametrize(
        "seed", [1, pytest.param(2, marks=pytest.mark.faults), pytest.param(3, marks=pytest.mark.faults)]
    )
    def test_rows_are_what_the_server_saw(
        self, drive: Drive, kind: str, http_target: Target, seed: int
    ) -> None:
        """Whenever users are killed: one row per request seen, and none that was not, unless interrupted."""
        rows = drive(RUN, f"{kind}:kill", http_target.address, seed)["rows"]
        recorded = Counter(int(row["name"].removeprefix("seq ")) for row in rows)
        seen = http_target.noted("seen")
        assert set(recorded.values()) == {1}
        assert set(seen) <= set(recorded)
        done = {int(row["name"].removeprefix("seq ")) for row in rows if row["outcome"] != "interrupted"}
        assert done <= set(seen)
        assert {"success", "interrupted"} == {row["outcome"] for row in rows}
