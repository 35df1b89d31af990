"""The MQTT broker that is measured against: Debian's mosquitto, with nothing that would hold it back."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psutil

from benchmarks.process import wait_until

# Debian puts it where only root has its path.
_SEARCHED = "/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin"


@contextlib.contextmanager
def running_broker(folder: Path) -> Iterator[tuple[int, psutil.Process]]:
    """Run mosquitto in *folder* while the block lasts; gives its port and its process.

    Raises:
        RuntimeError: mosquitto is not installed, or does not start.
    """
    program = shutil.which("mosquitto", path=_SEARCHED)
    if program is None:
        raise RuntimeError("mosquitto is missing: apt-get install mosquitto")
    port = _free_port()
    config = folder / "mosquitto.conf"
    config.write_text(
        f"listener {port} 127.0.0.1\nallow_anonymous true\npersistence false\nset_tcp_nodelay true\n"
        f"max_connections -1\nuser root\nlog_type error\nlog_dest file {folder / 'mosquitto.log'}\n"
    )
    process = subprocess.Popen([program, "-c", str(config)], stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: process.poll() is not None or _listens(port), "mosquitto")
        if process.poll() is not None:
            raise RuntimeError(f"mosquitto ended with {process.returncode}")
        yield port, psutil.Process(process.pid)
    finally:
        process.kill()
        process.wait(10)


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True
