"""Who takes which arrivals: each of n workers every n-th, from a moment on that all know beforehand.

The master settles it at the test's start, in Locust's options, and anew whenever a worker comes or goes, a
second ahead; in between nothing needs to be said.
"""

from __future__ import annotations

import logging
import time
from argparse import Namespace
from collections.abc import Callable
from time import perf_counter
from typing import Any, NamedTuple

import gevent
from locust.runners import MasterRunner, WorkerRunner

from streamlab_plugin.core.arrival import Share
from streamlab_plugin.users.joining import runner_of, workers_of

logger = logging.getLogger(__name__)

# A schedule starts so long after the test, when users are there and workers have been told.
START_S = 1.0
# How often the master looks whether workers came or went, and how far ahead their shares change.
LOOK_S = 0.25
NOTICE_S = 1.0
# A worker whose clock differs by more from the master's goes by its own.
CLOCK_LIMIT_S = 5.0
# The option, and the message, in which a plan travels.
PLAN = "streamlab_arrivals"


class Terms(NamedTuple):
    """When schedules start, as a reading of `perf_counter`, and what this process takes of them."""

    start: float
    share: Share


class Sharing:
    """One process's side of the agreement.

    Args:
        changed: Called when `terms` has another share than before.
    """

    def __init__(self, environment: Any, changed: Callable[[], None]) -> None:
        self._environment = environment
        self._changed = changed
        self._plan: dict[str, Any] | None = None
        self._look: Any = None

    def begin(self) -> None:
        """Settle a new run's terms: here, or as the master has said."""
        environment, runner = self._environment, runner_of(self._environment)
        if environment.parsed_options is None:
            environment.parsed_options = Namespace()
        options = environment.parsed_options
        if isinstance(runner, WorkerRunner):
            runner.register_message(PLAN, self._told)
            self._plan = self._heard(getattr(options, PLAN, None))
            return
        self._plan = _plan(workers_of(runner))
        if isinstance(runner, MasterRunner):
            # Locust carries the options to the workers before their test starts.
            setattr(options, PLAN, self._plan)
            self._look = gevent.spawn(self._look_after, runner, options, self._plan)

    def end(self) -> None:
        """The test stops."""
        if self._look is not None:
            self._look.kill(block=False)
            self._look = None

    def terms(self) -> Terms:
        """Return the terms as they are now."""
        if self._plan is None:
            self._plan = _plan([])
        workers, runner = self._plan["workers"], self._environment.runner
        share = Share()
        if workers:
            rank = workers.index(runner.client_id) if runner.client_id in workers else -1
            share = Share(rank, len(workers), self._plan["since_s"])
        return Terms(perf_counter() + self._plan["at"] - time.time(), share)

    def _look_after(self, runner: Any, options: Any, plan: dict[str, Any]) -> None:
        while True:
            gevent.sleep(LOOK_S)
            before, connected = plan["workers"], workers_of(runner)
            workers = [one for one in connected if _takes_part(runner, one, before)]
            if not workers or workers == before:
                continue
            since_s = max(0.0, time.time() - plan["at"] + NOTICE_S)
            plan = {**plan, "workers": workers, "since_s": since_s}
            setattr(options, PLAN, plan)
            for one in connected:
                # Others have not heard of the run, and would complain.
                if one in workers or one in before:
                    runner.send_message(PLAN, plan, one)

    def _heard(self, plan: dict[str, Any] | None) -> dict[str, Any]:
        """Return the plan that came with the options, on this worker's clock."""
        if plan is None:
            logger.error("Streamlab: the master knows no schedule; this worker starts no users by one")
            return _plan(["the master"])
        known = self._plan
        if known is not None and known["run"] == plan["run"] and known["since_s"] > plan["since_s"]:
            return known  # the message was quicker
        ahead_s = plan["at"] + plan["since_s"] - time.time()
        if self._environment.runner.client_id in plan["workers"] and abs(ahead_s) > CLOCK_LIMIT_S:
            logger.warning(
                "Streamlab: this worker's clock and the master's differ by %.0f s; arrivals follow its own",
                abs(ahead_s),
            )
            return {**plan, "at": time.time() + START_S - plan["since_s"]}
        return plan

    def _told(self, msg: Any, **_arguments: Any) -> None:
        plan, known = msg.data, self._plan
        if known is not None and known["run"] == plan["run"]:
            plan = {**plan, "at": known["at"]}  # on this worker's clock
        self._plan = plan
        self._changed()


def _plan(workers: list[str]) -> dict[str, Any]:
    """Return the terms of a run that starts now: when (epoch seconds), and who takes part from when on."""
    at = time.time() + START_S
    return {"run": at, "at": at, "since_s": 0.0, "workers": workers}


def _takes_part(runner: Any, worker: str, before: list[str]) -> bool:
    """Whether a connected worker has users; while users are spawned, one that took part still does."""
    has_users = runner.clients[worker].user_count > 0
    return has_users or (worker in before and not runner.spawning_completed)
