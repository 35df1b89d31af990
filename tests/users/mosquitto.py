"""A mosquitto with several listeners on neighbouring ports, which can be killed and started again."""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from ports import free_ports

MOSQUITTO = "/usr/sbin/mosquitto"
_ATTEMPTS = 5


class Mosquitto:
    """Run the broker in *folder*.

    Args:
        folder: For its configuration and its log.
        listeners: Configuration of each listener; the first has `port`, the next the port above it.
    """

    def __init__(self, folder: Path, listeners: Sequence[str]) -> None:
        self.log = folder / "broker.log"
        self._config = folder / "conf"
        self._listeners = listeners
        self._process: subprocess.Popen[bytes] | None = None
        for _ in range(_ATTEMPTS):
            self.port = free_ports(len(listeners))
            self._write()
            if self.start():
                return
        raise AssertionError("the broker did not start")

    def _write(self) -> None:
        blocks = [
            f"listener {self.port + number} 127.0.0.1\n{lines}\n"
            for number, lines in enumerate(self._listeners)
        ]
        self._config.write_text(
            "per_listener_settings true\npersistence false\nset_tcp_nodelay true\n"
            # Without a limit (0) mosquitto 2.0 cuts a client off whose QoS 2 publish it refuses.
            "max_queued_messages 100000\n"
            # As root it would give up its rights, and could not read the tests' keys.
            f"user root\nlog_type all\nlog_dest file {self.log}\n" + "".join(blocks)
        )

    def start(self) -> bool:
        """Start it; tell whether it listens."""
        starts = self._starts()
        command = [MOSQUITTO, "-c", str(self._config)]
        self._process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        while self._process.poll() is None:
            if self._starts() > starts:
                return True
            time.sleep(0.01)
        return False

    def _starts(self) -> int:
        text = self.log.read_text(encoding="utf-8") if self.log.exists() else ""
        return len(re.findall("mosquitto version .* running", text))

    def kill(self) -> None:
        """End it without a goodbye to anybody."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
