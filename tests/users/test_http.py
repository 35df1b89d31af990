from __future__ import annotations

import json
from collections import Counter

import pytest

from users.conftest import Drive, Target

RUN = "run_http.py"


class TestRequest:
    def test_recorded_with_id_and_answer(self, drive: Drive, http_target: Target) -> None:
        """The id goes out as a header and into the row; JSON is kept unless streamed or too large."""
        result = drive(RUN, "plain", http_target.address)
        rows, returned = result["rows"], result["returned"][0]
        assert http_target.noted("id") == [row["correlation_id"] for row in rows]
        assert [rows[0]["correlation_id"], "mine"] == returned[:2]
        kept = [json.loads(row["payload"])["id"] if row["payload"] else None for row in rows]
        assert [returned[0], "mine", None, None, None, rows[5]["correlation_id"]] == kept
        assert [(200, "success")] * 5 + [(503, "error")] == [(row["status"], row["outcome"]) for row in rows]
        assert {("GET", "http", "Web"), ("POST", "http", "Web")} == {
            (row["operation"], row["protocol"], row["user_class"]) for row in rows
        }

    def test_header_of_another_name(self, drive: Drive, http_target: Target) -> None:
        """The header's name can be set; the target then sees no X-Correlation-ID."""
        result = drive(RUN, "own_header", http_target.address)
        assert ([None], 32) == (http_target.noted("id"), len(result["rows"][0]["correlation_id"]))

    def test_timeout(self, drive: Drive, http_target: Target) -> None:
        """No answer in time is a timeout without status."""
        (row,) = drive(RUN, "timeout", http_target.address)["rows"]
        assert ("timeout", None) == (row["outcome"], row["status"])

    def test_nobody_there(self, drive: Drive, http_target: Target) -> None:
        """A refused connection is an error without status."""
        (row,) = drive(RUN, "down", http_target.address)["rows"]
        assert ("error", None, "ConnectionRefusedError") == (row["outcome"], row["status"], row["error"])

    def test_body_that_cannot_be_decoded(self, drive: Drive, http_target: Target) -> None:
        """The target saw the request, so it has a row; the exception still reaches the task."""
        result = drive(RUN, "broken", http_target.address)
        assert [("error", 200)] == [(row["outcome"], row["status"]) for row in result["rows"]]
        assert result["returned"] == ["ValueError: Unknown content encoding: zstd"]


class TestBlock:
    def test_every_way_out_has_a_row(self, drive: Drive, http_target: Target) -> None:
        """Marked, raised, left early, timed out: one row each."""
        rows = drive(RUN, "blocks", http_target.address)["rows"]
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

    def test_otherwise_like_fast_http_user(self, drive: Drive, http_target: Target) -> None:
        """Locust's table is the same, but for the three blocks that FastHttpUser forgets."""
        ours = drive(RUN, "blocks", http_target.address)["table"]
        theirs = drive(RUN, "blocks_of_locust", http_target.address)["table"]
        assert {"GET error", "GET reschedule", "GET timeout"} == set(ours) - set(theirs)
        assert theirs == {name: counts for name, counts in ours.items() if name in theirs}


class TestKill:
    @pytest.mark.parametrize("seed", [1, 2, 3])
    def test_rows_are_what_the_server_saw(self, drive: Drive, http_target: Target, seed: int) -> None:
        """Whenever users are killed: one row per request seen, and none that was not, unless interrupted."""
        rows = drive(RUN, "kill", http_target.address, seed)["rows"]
        recorded = Counter(int(row["name"].removeprefix("seq ")) for row in rows)
        seen = http_target.noted("seen")
        assert set(recorded.values()) == {1}
        assert set(seen) <= set(recorded)
        done = {int(row["name"].removeprefix("seq ")) for row in rows if row["outcome"] != "interrupted"}
        assert done <= set(seen)
        assert {"success", "interrupted"} == {row["outcome"] for row in rows}
