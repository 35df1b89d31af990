"""A broker that dies and comes back."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from users.conftest import Broker, Drive, of


def outage(drive: Drive, folder: Path, publishers: int, listeners: int) -> dict[str, Any]:
    """Kill and start the broker under so many users; check what holds whatever their number."""
    given = {"folder": str(folder), "publishers": publishers, "listeners": listeners}
    result = drive("run_mqtt_outage.py", "outage", json.dumps(given))
    rows = of(result, "publish")
    assert publishers + listeners == result["connected"]
    assert result["attempts"] == len(rows)
    assert {1} == set(Counter(row["name"] for row in rows).values())
    assert {"success", "error", "timeout", "interrupted"} >= {row["outcome"] for row in rows}
    seen = Broker("", Path(result["log"])).topics("Received from")
    assert {row["name"] for row in rows if row["outcome"] == "success"} <= set(seen)
    assert set(seen) <= {row["name"] for row in rows}
    assert {"ConnectionLostError"} >= {row["error"] for row in rows if row["outcome"] == "error"}
    assert [] == result["errors"]
    return result


class TestOutage:
    def test_everybody_comes_back(self, drive: Drive, tmp_path: Path) -> None:
        """Publishers and listeners reconnect by themselves, and each publish has its row."""
        result = outage(drive, tmp_path, 20, 2)
        assert result["heard"] > 0
        assert 2 * 2 == len(of(result, "subscribe", outcome="success"))
        assert 2 * 22 == len(of(result, "connect", outcome="success"))

    @pytest.mark.faults
    def test_three_hundred(self, drive: Drive, tmp_path: Path) -> None:
        """With 300 clients all are back within ten seconds of the broker's start."""
        result = outage(drive, tmp_path, 299, 1)
        assert 10.0 >= result["reconnected_s"]
