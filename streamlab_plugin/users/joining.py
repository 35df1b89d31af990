"""Who takes part in a distributed test: a worker's own runner, and a master's workers.

Locust tells a worker that joins while a test is going on to start while it still makes its runner, before the
environment has it.
"""

from __future__ import annotations

import time
from typing import Any

import gevent
from locust.runners import MasterRunner

# The runner is there within milliseconds; should it ever not be, the test goes on without it.
LIMIT_S = 5.0


def runner_of(environment: Any) -> Any:
    """Return the environment's runner, on a worker once it is there; None without one."""
    deadline = time.monotonic() + LIMIT_S
    is_worker = getattr(environment.parsed_options, "worker", False)
    while environment.runner is None and is_worker and time.monotonic() < deadline:
        gevent.sleep(0.01)
    return environment.runner


def workers_of(runner: Any) -> list[str]:
    """Return Locust's ids of a master's connected workers, those that get users; nothing for others."""
    if not isinstance(runner, MasterRunner):
        return []
    clients = runner.clients
    return sorted(client.id for client in (*clients.ready, *clients.spawning, *clients.running))
