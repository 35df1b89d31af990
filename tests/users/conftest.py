"""Real targets in processes of their own, and a way to drive users in another one.

Locust patches the standard library on import, so no test here imports it: a driver script does, and prints
what it saw as JSON.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from mosquitto import Mosquitto

HERE = Path(__file__).parent
Drive = Callable[..., dict[str, Any]]


@dataclass
class Target:
    """A target and what it has noted."""

    address: str
    log: Path
    pid: int

    def noted(self, key: str) -> list[Any]:
        """Return all values of *key* in its log."""
        lines = self.log.read_text(encoding="utf-8").splitlines()
        return [entry[key] for entry in map(json.loads, lines) if key in entry]


def drive_script(
    script: str, scenario: str, target: str, seed: int = 0, limit_s: float = 60
) -> dict[str, Any]:
    """Run a scenario of a driver script and return what it printed."""
    command = [sys.executable, str(HERE / script), scenario, target, str(seed)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=limit_s, check=False)
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    return result


@pytest.fixture
def drive() -> Drive:
    """Run a scenario of a driver script and return what it printed."""
    return drive_script


def serve(script: str, log: Path, *arguments: str) -> Iterator[tuple[str, Path, int]]:
    """Start a target script and yield its port, its log and its process id."""
    command = [sys.executable, str(HERE / script), str(log), *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip(), log, process.pid
        finally:
            process.terminate()


@pytest.fixture
def ws_target(tmp_path: Path) -> Iterator[Target]:
    """A WebSocket server."""
    for port, log, pid in serve("ws_target.py", tmp_path / "ws.log"):
        yield Target(f"ws://127.0.0.1:{port}", log, pid)


@pytest.fixture
def http_target(tmp_path: Path) -> Iterator[Target]:
    """An HTTP server."""
    for port, log, pid in serve("http_target.py", tmp_path / "http.log"):
        yield Target(f"http://127.0.0.1:{port}", log, pid)


@pytest.fixture
def sse_target(tmp_path: Path) -> Iterator[Target]:
    """A server of event streams."""
    for port, log, pid in serve("sse_target.py", tmp_path / "sse.log"):
        yield Target(f"http://127.0.0.1:{port}", log, pid)


@pytest.fixture(params=["fast", "requests"])
def kind(request: pytest.FixtureRequest) -> str:
    """HttpUser, and RequestsUser."""
    return str(request.param)


@dataclass
class Broker:
    """A mosquitto and its log; the port above wants a password that nobody has."""

    address: str
    log: Path

    def topics(self, verb: str) -> list[str]:
        """Return the topic of each PUBLISH logged as *verb*: ``Received from`` or ``Sending to``."""
        what, way = verb.split()
        pattern = rf"{what} PUBLISH {way} \S+ \(d\d, q\d, r\d, m\d+, '([^']+)'"
        return re.findall(pattern, self.log.read_text(encoding="utf-8"))

    def connections(self) -> int:
        """Return how many clients it has accepted."""
        return self.log.read_text(encoding="utf-8").count("New client connected")


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    """A mosquitto on free ports."""
    acl = tmp_path / "acl"
    acl.write_text("".join(f"topic readwrite {root}/#\n" for root in ("q", "d", "r", "f", "l", "k", "big")))
    started = Mosquitto(tmp_path, [f"allow_anonymous true\nacl_file {acl}", "allow_anonymous false"])
    try:
        yield Broker(str(started.port), started.log)
    finally:
        started.kill()


def of(result: dict[str, Any], operation: str, **wanted: Any) -> list[dict[str, Any]]:
    """Return the rows of *operation* whose fields are as *wanted*."""
    return [
        row
        for row in result["rows"]
        if row["operation"] == operation and all(row[key] == value for key, value in wanted.items())
    ]
