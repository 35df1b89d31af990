"""The runner of a worker that joins while a test is going on.

Locust tells such a worker to start while it still makes its runner, before the environment has it.
"""

from __future__ import annotations

import time
from typing import Any

import gevent

# The runner is there within milliseconds; should it ever not be, the test goes on without it.
LIMIT_S = 5.0


def runner_of(environment: Any) -> Any:
    """Return the environment's runner, on a worker once it is there; None without one."""
    deadline = time.monotonic() + LIMIT_S
    is_worker = getattr(environment.parsed_options, "worker", False)
    while environment.runner is None and is_worker and time.monotonic() < deadline:
        gevent.sleep(0.01)
    return environment.runner
