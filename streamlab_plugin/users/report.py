"""How an exchange is reported when its own greenlet cannot do it in the ordinary way.

The ordinary way is ``environment.events.request.fire(..., streamlab=Detail(...))`` in the user's greenlet.
"""

from __future__ import annotations

from time import perf_counter
from typing import Any

import gevent
from locust import User
from locust.exception import InterruptTaskSet, RescheduleTask, RescheduleTaskImmediately, StopTest, StopUser

from streamlab_plugin import gate
from streamlab_plugin.core.record import Detail
from streamlab_plugin.users.clock import epoch_s

# What a listener or a task may raise to steer Locust; none of them says that the request failed.
CONTROL_EXCEPTIONS = (StopUser, StopTest, RescheduleTask, RescheduleTaskImmediately, InterruptTaskSet)


def interrupted(user: User, request_type: str, name: str, started: float, detail: Detail) -> None:
    """Record a request that was in flight when its user was killed; Locust's table is unchanged.

    *started* is the `perf_counter` reading at the send.
    """
    of_environment = gate.of(user.environment)
    if of_environment is not None:
        of_environment.record_interrupted(
            request_type=request_type,
            name=name,
            started_at=epoch_s(started),
            latency_ms=(perf_counter() - started) * 1000.0,
            detail=detail._replace(outcome="interrupted"),
        )


def fire_aside(user: User, **event: Any) -> None:
    """Fire the request event from a greenlet that is not the user's own.

    A listener that wants to stop the user reaches the user's greenlet all the same.
    """
    try:
        user.environment.events.request.fire(**event)
    except CONTROL_EXCEPTIONS as control:
        pass_on(user, control)


def pass_on(user: User, control: Exception) -> None:
    """Raise in the user's own greenlet what a listener has raised in another one of its greenlets."""
    if user.greenlet is not None and not user.greenlet.dead:
        gevent.kill(user.greenlet, control)


def hook_failed(user: User, error: Exception) -> None:
    """Report an exception in one of the user's own hooks the way Locust reports one in a task."""
    user.environment.events.user_error.fire(user_instance=user, exception=error, tb=error.__traceback__)
