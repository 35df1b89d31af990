"""Conformance against a server that is not ours."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from ports import connect_until_up, free_ports

from users.conftest import Drive, Target
from users.nginx import LIMIT_BYTES, REDIRECTS, Nginx, running

RUN = "run_nginx.py"
FOLLOWED = {f"moved {code}" for code in REDIRECTS}
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


@pytest.fixture
def nginx(sse_target: Target, tmp_path: Path) -> Iterator[Nginx]:
    """An nginx in front of a server of event streams."""
    first, third = free_ports(2), free_ports(2)
    with running(tmp_path, [first, first + 1, third, third + 1], sse_target.address) as server:
        for port in server.ports.values():
            connect_until_up(port)
        yield server


def target(nginx: Nginx) -> str:
    """Return what the driver has to know."""
    return json.dumps({"address": nginx.address, "tls": nginx.urls(), "authority": str(nginx.authority)})


class TestOperations:
    def test_conformance(self, drive: Drive, kind: str, nginx: Nginx) -> None:
        """Status, outcome, size and kept payload of everything that HTTP does."""
        result = drive(RUN, f"{kind}:operations", target(nginx))
        assert [["1", "2", "3"]] == result["returned"]
        small = len('{"quality_score":0.5}')
        done, failed = "success", "error"
        expected = {
            **{f"{method} json": (200, done, small, small) for method in METHODS},
            "HEAD json": (200, done, 0, None),
            "64 KiB sent": (200, done, small, small),
            "too large": (413, failed, None, None),
            **{f"exact{way}": (200, done, LIMIT_BYTES, LIMIT_BYTES) for way in ("", " packed", " chunked")},
            **{f"above{way}": (200, done, LIMIT_BYTES + 1, None) for way in ("", " packed", " chunked")},
            **{f"{name} again": (304, done, 0, None) for name in ("exact", "above")},
            **{f"moved {code}": (200, done, small, small) for code in REDIRECTS},
            **{f"moved {code}, not followed": (code, done, None, None) for code in REDIRECTS},
            "none": (204, done, 0, None),
            "teapot": (418, failed, 0, None),
            "broken": (500, failed, None, None),
            "nowhere": (404, failed, None, None),
            "loop": (None, failed, 0, None),
        }  # fmt: skip
        rows = {row["name"]: row for row in result["rows"]}
        for name, (status, outcome, size, kept) in expected.items():
            row = rows.pop(name)
            got = (row["status"], row["outcome"], row["size"] if size is not None else None, row["payload"])
            assert (status, outcome, size, kept) == got, name
        assert {"events"} == set(rows)

        # What nginx saw has a row each, the hops of a redirect under one.
        requested = [row for row in result["rows"] if row["direction"] == "out" and row["name"] != "loop"]
        hops = Counter(entry["id"] for entry in nginx.seen() if entry["uri"] != "/loop")
        assert hops == {row["correlation_id"]: 1 + (row["name"] in FOLLOWED) for row in requested}

    @pytest.mark.parametrize("count", [1_000, pytest.param(100_000, marks=pytest.mark.faults)])
    def test_every_request_is_a_row(self, drive: Drive, nginx: Nginx, count: int) -> None:
        """Five users on five connections: the ids that nginx saw are those of the rows."""
        result = drive(RUN, "fast:many", target(nginx), count, limit_s=300)
        seen = nginx.seen()
        assert (count, ["success"]) == (len(result["ids"]), result["outcomes"])
        assert Counter(result["ids"]) == Counter(entry["id"] for entry in seen)
        assert 5 == len({entry["connection"] for entry in seen})


class TestCertificate:
    def test_outcomes(self, drive: Drive, kind: str, nginx: Nginx) -> None:
        """Only the certificate of the right CA for the right host is taken; nothing else gets an answer."""
        result = drive(RUN, f"{kind}:certificates", target(nginx))
        assert [None] == result["returned"]
        refused = {"fast": "SSLCertVerificationError", "requests": "SSLError"}[kind]
        expected = {
            "plain": ("error", None, "SSLError"),
            "trusted": ("success", 200, None),
            "self_signed": ("error", None, refused),
            "wrong_host": ("error", None, refused),
            "no events": ("error", None, refused),
        }
        rows = {row["name"]: row for row in result["rows"] if row["name"] != "events"}
        assert expected == {name: (row["outcome"], row["status"], row["error"]) for name, row in rows.items()}
        assert "ostname" in rows["wrong_host"]["text"] or "IP address mismatch" in rows["wrong_host"]["text"]
        assert {"/json", "/events?n=3"} == {entry["uri"] for entry in nginx.seen() if entry["status"] == 200}
