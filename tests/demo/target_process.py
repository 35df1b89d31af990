"""The demo target as it is really used: a process of its own, driven over its three ports."""

from __future__ import annotations

import http.client
import json
import select
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass
class Target:
    """A running target and what it said when it was ready."""

    process: subprocess.Popen[str]
    ready: dict[str, Any]
    log: Path

    def get_json(self, path: str) -> Any:
        """GET *path* on a connection of its own."""
        connection = http.client.HTTPConnection("127.0.0.1", self.ready["http"], timeout=5)
        try:
            connection.request("GET", path)
            return json.loads(connection.getresponse().read())
        finally:
            connection.close()

    def entry(self, kind: str) -> dict[str, Any]:
        """Return the schedule entry of *kind*."""
        return next(entry for entry in self.ready["schedule"] if entry["kind"] == kind)

    def stop(self) -> int:
        """End the target by SIGTERM and return its exit code."""
        self.process.terminate()
        return self.process.wait(timeout=10)

    def lines(self, **wanted: object) -> list[dict[str, Any]]:
        """Return the lines of its log in which every *wanted* field has that value."""
        lines = [json.loads(line) for line in self.log.read_text().splitlines()]
        return [line for line in lines if all(line[key] == value for key, value in wanted.items())]


def command(*options: str) -> list[str]:
    """Return the command line of the target."""
    return [sys.executable, "-m", "streamlab_plugin.demo", *options]


def ready_line(process: subprocess.Popen[str]) -> dict[str, Any]:
    """Return what the target prints when it is up."""
    assert process.stdout is not None
    readable, _, _ = select.select([process.stdout], [], [], 20)
    assert readable, "the target said nothing within 20 s"
    ready: dict[str, Any] = json.loads(process.stdout.readline())
    return ready


def started(log: Path, *options: str) -> Target:
    """Start a target that logs to *log*."""
    process = subprocess.Popen(
        command("--quiet", "--log", str(log), *options), stdout=subprocess.PIPE, text=True
    )
    return Target(process, ready_line(process), log)
