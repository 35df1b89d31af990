"""One clock per process for moments and durations alike.

Epoch seconds derived from `perf_counter` never jump, so the difference of two of them is a duration. They are
comparable between the processes of one machine, not between machines.
"""

from __future__ import annotations

import hashlib
import time
import uuid
from pathlib import Path

_OFFSET_S = time.time() - time.perf_counter()


def epoch_s(counter_s: float) -> float:
    """Return the epoch second (UTC) of a `perf_counter` reading."""
    return _OFFSET_S + counter_s


def now() -> float:
    """Return the current epoch second (UTC)."""
    return _OFFSET_S + time.perf_counter()


def _machine_id() -> str:
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii")
    except OSError:
        boot = str(uuid.getnode())
    return hashlib.blake2s(boot.encode(), digest_size=4).hexdigest()


# Names the running kernel, hence its clock: latencies between two processes hold where both have the same.
MACHINE_ID = _machine_id()
