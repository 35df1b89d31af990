"""A WebSocket server that hangs: everybody notices, and nobody stays stuck."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from users.conftest import Drive, Target, drive_script, of, serve

RUN = "run_ws_hung.py"
FULL = [pytest.param(500, 30.0, 5.0, marks=pytest.mark.faults)]
QUICK = [(20, 2.0, 0.5)]


def hang(
    drive: Drive, target: Target, users: int, hang_s: float, timeout_s: float, *, resumes: bool
) -> dict[str, Any]:
    """Stop the server under *users*, half of whom ping; check what holds whether it *resumes* or not."""
    given = {"url": target.address, "pid": target.pid, "users": users, "hang_s": hang_s}
    told = json.dumps({**given, "timeout_s": timeout_s, "resumes": resumes})
    result = drive(RUN, "hung", told, limit_s=300)
    print({key: value for key, value in result.items() if key != "rows"})

    # Nobody is left, nothing came later, and each attempt has its row.
    assert (0, True, []) == (result["alive"], result["drained"], result["errors"])
    assert len(result["rows"]) == result["late"]
    rows = of(result, "request")
    asked = {row["correlation_id"] for row in rows}
    assert result["attempts"] == len(rows) == len(asked)
    assert {"success", "error", "timeout", "interrupted"} >= {row["outcome"] for row in rows}

    # As the server has it: what it saw has a row, what was answered it saw, each connection has ended once.
    seen = [str(number) for number in target.noted("seen")]
    assert len(seen) == len(set(seen))
    assert {row["correlation_id"] for row in rows if row["outcome"] == "success"} <= set(seen) <= asked
    connected = len(of(result, "connect", outcome="success"))
    assert connected == len(of(result, "close"))
    assert connected <= len(target.noted("opened")) <= len(of(result, "connect"))

    # Half of the users noticed by the missing pong, which ended the connection, half by the missing reply.
    missed = of(result, "request", outcome="timeout")
    assert len(missed) >= users // 2
    # A timer counts from the last turn of the event loop.
    assert all(row["latency_ms"] >= timeout_s * 900 for row in missed)
    assert {"no reply in time"} == {row["text"] for row in missed}
    assert len(of(result, "ping", outcome="timeout")) >= users // 2
    lost = of(result, "close", outcome="error", status=1006)
    assert len(of(result, "ping", outcome="timeout")) == len(lost)
    assert len(of(result, "connect", outcome="timeout")) > 0
    return result


class TestHang:
    @pytest.mark.parametrize(("users", "hang_s", "timeout_s"), [*QUICK, *FULL])
    def test_server_goes_on(
        self, drive: Drive, ws_target: Target, users: int, hang_s: float, timeout_s: float
    ) -> None:
        """All notice while it hangs, and are answered again after it; what comes too late is late."""
        result = hang(drive, ws_target, users, hang_s, timeout_s, resumes=True)
        late = {row["correlation_id"] for row in of(result, "late")}
        given_up = {row["correlation_id"] for row in of(result, "request") if row["outcome"] != "success"}
        assert set() < late <= given_up
        assert result["recovered_s"] >= 0  # measured when the last user had been answered again

    @pytest.mark.parametrize(("users", "hang_s", "timeout_s"), [*QUICK, *FULL])
    def test_test_ends_meanwhile(
        self, drive: Drive, ws_target: Target, users: int, hang_s: float, timeout_s: float
    ) -> None:
        """The run's end does not wait for the server; what was open is interrupted."""
        result = hang(drive, ws_target, users, hang_s, timeout_s, resumes=False)
        assert users // 2 == len(of(result, "close", outcome="interrupted"))
        assert [] == of(result, "close", outcome="success")


class TestFull:
    """It hangs while a message is on its way that fits no buffer."""

    @pytest.fixture(scope="class")
    def done(self, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[dict[str, Any], Target]]:
        """Each case once, in one user."""
        for port, log, pid in serve("ws_target.py", tmp_path_factory.mktemp("full") / "log"):
            target = Target(f"ws://127.0.0.1:{port}", log, pid)
            given = {"url": target.address, "pid": pid, "timeout_s": 0.5}
            yield drive_script(RUN, "full", json.dumps(given)), target

    def test_request_and_send(self, done: tuple[dict[str, Any], Target]) -> None:
        """Both end in their time; what had begun to go goes on later, what had not is never sent."""
        result, target = done
        assert [True, False, False, False, True, True] == result["returned"][0][0]
        rows = {(row["operation"], row["name"]): row for row in result["rows"]}
        assert ["success", "timeout", "timeout", "timeout", "success", "success"] == [
            rows[key]["outcome"]
            for key in (
                ("request", "before"),
                ("request", "large"),
                ("request", "behind"),
                ("send", "behind"),
                ("request", "after"),
                ("late", "large"),
            )
        ]
        assert (None, "the peer reads nothing") == (
            rows["send", "behind"]["status"],
            rows["send", "behind"]["text"],
        )
        assert [1, 2, 5] == target.noted("seen")

    def test_close(self, done: tuple[dict[str, Any], Target]) -> None:
        """Closing waits neither for the message nor for the server, and takes the message along."""
        result, _target = done
        assert [False, False] == result["returned"][0][1]
        assert "timeout" == of(result, "close", name="closes")[0]["outcome"]
        (row,) = of(result, "request", name="large, closed")
        assert ("error", 1006) == (row["outcome"], row["status"])

    def test_ping(self, done: tuple[dict[str, Any], Target]) -> None:
        """A ping that cannot go is one that is not answered: the connection ends, and the message with it."""
        result, _target = done
        assert result["returned"][0][2] is False
        assert [("timeout", "no pong in time")] == [
            (row["outcome"], row["text"]) for row in of(result, "ping", name="pings")
        ]
        (row,) = of(result, "request", name="large, pinged")
        assert ("error", 1006) == (row["outcome"], row["status"])
        assert [("error", 1006)] == [
            (one["outcome"], one["status"]) for one in of(result, "close", name="pings")
        ]

    def test_nothing_else(self, done: tuple[dict[str, Any], Target]) -> None:
        """Nothing raised, nothing stayed."""
        result, _target = done
        assert (True, []) == (result["drained"], result["errors"])
