"""What a Locust process uses during its test, told by itself: only it knows when that begins and ends."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

FILE = "used.json"


class Stopwatch:
    """Processor time of this process from the start of the test until users are told to stop."""

    cpu_s = 0.0

    @classmethod
    def install(cls, events: Any) -> None:
        """Measure with Locust's *events*; the result goes to `FILE` in the working directory."""
        events.test_start.add_listener(cls.begin)
        events.test_stopping.add_listener(cls.stop)

    @classmethod
    def begin(cls, **_arguments: Any) -> None:
        """Start."""
        cls.cpu_s = -time.process_time()

    @classmethod
    def stop(cls, **_arguments: Any) -> None:
        """Stop, and write down what was used."""
        Path(FILE).write_text(json.dumps({"cpu_s": cls.cpu_s + time.process_time()}))


def used_s(folder: Path) -> float:
    """Return the processor time that the Locust process in *folder* has written down."""
    used: float = json.loads((folder / FILE).read_text())["cpu_s"]
    return used
