"""Greenlets that still drain connections of users whose own greenlet has ended.

A killed user cannot wait for its server any more, yet what the server sends until it has seen the goodbye
belongs to the run. Whoever closes the record stream waits for this group first.
"""

from __future__ import annotations

from typing import Any

import gevent
from gevent.pool import Group
from greenlet import getcurrent

# The longest a closer waits for the server's goodbye (seconds); `wait` needs a little more.
DRAIN_LIMIT_S = 1.5


def closers(environment: Any) -> Group:
    """Return the group of draining greenlets of a Locust environment; made on first use."""
    group = getattr(environment, "streamlab_closers", None)
    if group is None:
        group = environment.streamlab_closers = Group()
    return group


def wait(environment: Any, timeout_s: float) -> bool:
    """Wait until users have ended and nothing drains, at most *timeout_s*; tell whether that was reached.

    Locust may still be at ending them: a signal and the master's message are obeyed in greenlets of their
    own, and only the first of them does it. Users that have time to finish (``--stop-timeout``) get it.
    """
    users = getattr(environment.runner, "user_greenlets", ())
    # A user that ends the test itself cannot wait for its own end.
    if users and getcurrent() not in users:
        users.join(timeout=timeout_s + (environment.stop_timeout or 0.0))
    # Greenlets that ended just now notify their links, which fill the group, in the next turn of the loop.
    gevent.sleep(0)
    return bool(closers(environment).join(timeout=timeout_s))
