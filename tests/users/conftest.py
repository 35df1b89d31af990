"""Real targets in processes of their own, and a way to drive users in another one.

Locust patches the standard library on import, so no test here imports it: a driver script does, and prints
what it saw as JSON.
"""

from __future__ import annotations

import atexit
import functools
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
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


class _Nursery:
    """The process whose children run driver scripts; one for all tests of this process."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(HERE / "nursery.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
        )

    def run(self, arguments: list[str], limit_s: float) -> tuple[int, str, str]:
        """Run a script with *arguments*; return its exit code and what it printed on each output."""
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        with tempfile.TemporaryDirectory() as folder:
            out, err = Path(folder, "out"), Path(folder, "err")
            order = {"argv": arguments, "out": str(out), "err": str(err)}
            process.stdin.write(json.dumps(order) + "\n")
            child = int(process.stdout.readline())
            timer = threading.Timer(limit_s, os.kill, (child, signal.SIGKILL))
            timer.start()
            code = int(process.stdout.readline())
            timer.cancel()
            return code, out.read_text(encoding="utf-8"), err.read_text(encoding="utf-8")

    def close(self) -> None:
        """End it."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(10)


@functools.cache
def _nursery() -> _Nursery:
    nursery = _Nursery()
    atexit.register(nursery.close)
    return nursery


def drive_script(
    script: str, scenario: str, target: str, seed: int = 0, limit_s: float = 60
) -> dict[str, Any]:
    """Run a scenario of a driver script and return what it printed."""
    code, out, err = _nursery().run([str(HERE / script), scenario, target, str(seed)], limit_s)
    assert code == 0, err
    result: dict[str, Any] = json.loads(out)
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
