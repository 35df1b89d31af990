"""A WebSocket server that hangs: everybody notices, and nobody stays stuck."""

from __future__ import annotations

import json
from typing import Any

import pytest

from users.conftest import Drive, Target, of

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
    assert all(row["latency_ms"] >= timeout_s * 1000 for row in missed)
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
