"""The two processes of the demo: the target and Locust."""

from __future__ import annotations

import json
import os
import selectors
import signal
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from streamlab_plugin.config import packaged
from streamlab_plugin.core.errors import InfrastructureError

READY_S = 30.0
STOP_S = 60.0


@dataclass(frozen=True, slots=True)
class DemoOptions:
    """What ``streamlab demo`` was asked for."""

    is_headless: bool
    duration_s: int
    web_port: int
    users: int
    seed: int
    folder: Path


def check_port(port: int) -> None:
    """Say in one line that the web port is taken.

    Raises:
        InfrastructureError: it is.
    """
    probe = socket.socket()
    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        probe.bind(("127.0.0.1", port))
    except OSError:
        raise InfrastructureError(
            f"port {port} on 127.0.0.1 is taken; choose another one with --web-port, or --headless"
        ) from None
    finally:
        probe.close()


def start_target(options: DemoOptions) -> tuple[subprocess.Popen[str], dict[str, Any]]:
    """Start the demo target and return it with its ready line (ports and schedule).

    Raises:
        InfrastructureError: it did not start.
    """
    arguments = [
        sys.executable, "-m", "streamlab_plugin.demo", "--quiet", "--duration", str(options.duration_s),
        "--seed", str(options.seed), "--log", str(options.folder / "target.jsonl"),
    ]  # fmt: skip
    with open(options.folder / "target.log", "w") as log:
        target = subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=log, text=True, process_group=0)
    assert target.stdout is not None
    with selectors.DefaultSelector() as selector:
        selector.register(target.stdout, selectors.EVENT_READ)
        line = target.stdout.readline() if selector.select(READY_S) else ""
    if not line.startswith("{"):
        stop(target)
        reason = (options.folder / "target.log").read_text().strip().splitlines()[-1:] or ["it said nothing"]
        raise InfrastructureError(f"the demo target did not start: {reason[0]}")
    ready: dict[str, Any] = json.loads(line)
    return target, ready


def start_locust(options: DemoOptions, ready: dict[str, Any], database_url: str) -> subprocess.Popen[bytes]:
    """Start Locust on the packaged mixed scenario."""
    environment = {
        **os.environ,
        "STREAMLAB_DEMO_HTTP": f"http://127.0.0.1:{ready['http']}",
        "STREAMLAB_DEMO_WS": f"ws://127.0.0.1:{ready['ws']}",
        "STREAMLAB_DEMO_MQTT": f"mqtt://127.0.0.1:{ready['mqtt']}",
        "STREAMLAB_DEMO_SEED": str(options.seed),
        "STREAMLAB_DATABASE_URL": database_url,
    }
    arguments = [
        sys.executable, "-m", "locust", "-f", str(packaged("locustfiles") / "demo.py"),
        "--users", str(options.users), "--spawn-rate", str(max(1, options.users // 2)),
        "--run-time", f"{options.duration_s}s", "--only-summary",
    ]  # fmt: skip
    if options.is_headless:
        arguments += ["--headless"]
    else:
        arguments += ["--autostart", "--web-host", "127.0.0.1", "--web-port", str(options.web_port)]
    with open(options.folder / "locust.log", "wb") as log:
        return subprocess.Popen(
            arguments, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, process_group=0
        )


def stop(process: subprocess.Popen[Any]) -> int:
    """End a process in order, and with force when it does not end; return its exit code."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    try:
        return process.wait(STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()
    finally:
        if process.stdout is not None:
            process.stdout.close()


def locust_complaint(folder: Path) -> str:
    """Return the last line that Locust wrote, for a message about its failure."""
    lines = (folder / "locust.log").read_text(errors="replace").strip().splitlines()
    return lines[-1] if lines else "it said nothing"
