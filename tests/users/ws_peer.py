"""A WebSocket server made with the library `ws` of Node, and what it has noted."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from users.certificates import make_all
from users.conftest import HERE, Target

NODE = HERE / "node"


@dataclass
class Peer(Target):
    """The server, and what a driver has to know of it."""

    urls: dict[str, str]
    authority: Path

    def given(self, **more: Any) -> str:
        """Return the driver's argument."""
        return json.dumps({"urls": self.urls, "authority": str(self.authority), **more})

    def entries(self, key: str, place: str) -> list[dict[str, Any]]:
        """Return the lines of the log that tell of *key* at *place*, or were opened there."""
        lines = map(json.loads, self.log.read_text(encoding="utf-8").splitlines())
        return [one for one in lines if key in one and place in (one.get("place"), one[key])]


@contextmanager
def node(folder: Path) -> Iterator[Peer]:
    """Run the server."""
    if shutil.which("node") is None or not (NODE / "node_modules" / "ws").exists():
        pytest.skip("no Node with the library ws on this machine: ci/node")
    make_all(folder)
    command = ["node", str(NODE / "ws_peer.mjs"), str(folder / "log"), str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            ports = json.loads(process.stdout.readline())
            urls = {name: f"wss://localhost:{port}" for name, port in ports.items()}
            urls["plain"] = f"ws://localhost:{ports['plain']}"
            yield Peer(urls["plain"], folder / "log", process.pid, urls, folder / "ca.pem")
        finally:
            process.kill()
