"""Users that fire request events steadily and count them in a file that survives whatever ends the process.

With BENCH_VARIANT ``streamlab`` they are recorded; otherwise by whatever Locust's options switch on.
"""

from __future__ import annotations

import mmap
import os
import struct
import time
from pathlib import Path
from typing import Any

from locust import User, constant_pacing, task

if os.environ["BENCH_VARIANT"] == "streamlab":
    from streamlab_plugin import install

    install()

COUNT = struct.Struct("q")
Path("fired").write_bytes(bytes(COUNT.size))
with open("fired", "r+b") as file:
    fired = mmap.mmap(file.fileno(), COUNT.size)


class Steady(User):
    """Fires a hundred events a second."""

    wait_time = constant_pacing(0.05)

    @task
    def fire(self) -> None:
        """Fire five."""
        hook: Any = self.environment.events.request
        for _request in range(5):
            COUNT.pack_into(fired, 0, COUNT.unpack_from(fired)[0] + 1)
            hook.fire(
                request_type="GET", name="/api/items", response_time=12.5, response_length=300,
                response=None, context={}, exception=None, start_time=time.time(), url=None,
            )  # fmt: skip
