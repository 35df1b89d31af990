"""Canary runs as a user makes them: the command, in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

IDENTITY = Path(__file__).with_name("identity")


@dataclass(frozen=True)
class Ran:
    """How a run ended, and what it said as JSON."""

    exit_code: int
    said: Mapping[str, Any]
    errors: str

    def sinks(self) -> dict[str, int]:
        """Return the hits of each sink."""
        return {sink["name"]: sink["hits"] for sink in self.said["sinks"]}


def run_canary(*arguments: str, redacts: bool = True, timeout_s: float = 300) -> Ran:
    """Run ``streamlab privacy canary --json``; without *redacts* redaction keeps everything."""
    variables = dict(os.environ)
    if not redacts:
        variables["PYTHONPATH"] = os.fspath(IDENTITY)
    done = subprocess.run(
        [sys.executable, "-m", "streamlab_plugin.cli", "privacy", "canary", "--json", *arguments],
        env=variables, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout_s,
    )  # fmt: skip
    return Ran(done.returncode, json.loads(done.stdout or "{}"), done.stderr)
