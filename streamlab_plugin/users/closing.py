"""Greenlets that still drain connections of users whose own greenlet has ended.

A killed user cannot wait for its server any more, yet what the server sends until it has seen the goodbye
belongs to the run. Whoever closes the record stream waits for this group first.
"""

from __future__ import annotations

from typing import Any

import gevent
from gevent.pool import Group

# The longest a closer waits for the server's goodbye (seconds); `wait` needs a little more.
DRAIN_LIMIT_S = 1.5


def closers(environment: Any) -> Group:
    """Return the group of draining greenlets of a Locust environment; made on first use."""
    group = getattr(environment, "streamlab_closers", None)
    if group is None:
        group = environment.streamlab_closers = Group()
    return group


def wait(environment: Any, timeout_s: float) -> bool:
    """Wait until nothing drains any more, at most *timeout_s* seconds; tell whether that was reached."""
    # Greenlets that ended just now notify their links, which fill the group, in the next turn of the loop.
    gevent.sleep(0)
    return bool(closers(environment).join(timeout=timeout_s))
