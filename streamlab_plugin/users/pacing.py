"""Open model: users start when a schedule says so, not when they happen to be free.

All users whose class has the same `arrivals` share its schedule: a user that is free takes the arrival that
is due, or has been for longest. Which of them this process takes is `sharing`'s business. A user may instead
have a `Beat` of its own.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from time import perf_counter
from types import MethodType
from typing import Any

import gevent
import locust
from gevent.lock import Semaphore
from locust.runners import MasterRunner
from locust.user.task import LOCUST_STATE_STOPPING

from streamlab_plugin import gate
from streamlab_plugin.core.arrival import ArrivalQueue, Counts, Share
from streamlab_plugin.core.beat import Beat, Tally
from streamlab_plugin.core.errors import ConfigError
from streamlab_plugin.core.record import Detail
from streamlab_plugin.core.schedule import Schedule, parse_schedule
from streamlab_plugin.users.clock import epoch_s, now
from streamlab_plugin.users.sharing import Sharing

# How long a user sleeps before it looks again whether the schedule was shared out anew.
NAP_S = 0.25
# What a user does around its requests; an arrival is about the request.
_ASIDE = frozenset({"connect", "close", "subscribe"})


class Arrivals:
    """A schedule as a user class's ``wait_time``; see `arrivals`."""

    def __init__(self, schedule: Schedule) -> None:
        self.schedule = schedule

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        """Bind to a user as a function would."""
        return self if instance is None else MethodType(self, instance)

    def __call__(self, instance: Any) -> float:
        """Wait for an arrival in the user's place; Locust need not wait any more then."""
        user = getattr(instance, "user", instance)
        pacing_of(user.environment).wait(self)
        return 0.0


def arrivals(schedule: str | Schedule) -> Any:
    """Return a ``wait_time`` that starts iterations by *schedule*, in total over all users and workers.

    Steps are separated by commas: ``200/s for 10s``, ``0..500/s over 30s``; add ``poisson`` for random
    moments and ``seed 7`` for other ones. Rates are per ``s``, ``min`` or ``h``; the last step may have no
    length.

    Raises:
        SystemExit: It is no schedule; file, line and what is wrong have been printed.
    """
    if not isinstance(schedule, Schedule):
        try:
            schedule = parse_schedule(schedule)
        except ConfigError as error:
            caller = sys._getframe(1)
            place = f"{caller.f_code.co_filename}:{caller.f_lineno}"
            print(f"streamlab: {place}: {error}", file=sys.stderr, flush=True)
            sys.exit(error.exit_code)
    events: Any = locust.events
    if not getattr(events, "streamlab_pacing", False):
        events.streamlab_pacing = True
        # Not in `init`: a worker may be told to start while its `init` still waits for the recorder.
        events.test_start.add_listener(_on_test_start)
        events.test_stopping.add_listener(_on_test_stopping)
    return Arrivals(schedule)


def pacing_of(environment: Any) -> Pacing:
    """Return the pacing of a Locust environment; made on first use."""
    pacing: Pacing | None = getattr(environment, "streamlab_pacing", None)
    if pacing is None:
        pacing = environment.streamlab_pacing = Pacing(environment)
    return pacing


def _on_test_start(environment: Any, **_arguments: Any) -> None:
    pacing_of(environment).begin()


def _on_test_stopping(environment: Any, **_arguments: Any) -> None:
    pacing_of(environment).end()


class Turn:
    """One schedule in one run of one process: users take its arrivals one after the other.

    Args:
        start: When the schedule begins, as a reading of `perf_counter`.
    """

    def __init__(self, schedule: Schedule, start: float, share: Share) -> None:
        self._queue = ArrivalQueue(schedule, share)
        self._start = start
        self._lock = Semaphore()

    def wait(self) -> float:
        """Wait for an arrival and return when it was due (`perf_counter`); behind the last one, for ever.

        The first in the line waits for the moment, the others for the first; a user that is killed leaves the
        line and has taken nothing.
        """
        with self._lock:
            while True:
                now_s = perf_counter() - self._start
                due_s = self._queue.take(now_s)
                if due_s is not None:
                    return self._start + due_s
                next_s = self._queue.next_s
                gevent.sleep(NAP_S if next_s is None else min(NAP_S, next_s - now_s))

    def share(self, share: Share) -> None:
        """Take another share of the arrivals."""
        self._queue.share(share)

    def stop(self) -> None:
        """Start nobody any more."""
        self._queue.stop(perf_counter() - self._start)

    def counts(self) -> Counts:
        """Return the totals by now."""
        return self._queue.counts(perf_counter() - self._start)


class Pacing:
    """The schedules of one Locust process; on a master, who takes which part."""

    def __init__(self, environment: Any) -> None:
        self._environment = environment
        self._turns: dict[Arrivals, Turn] = {}
        self._tally = Tally()
        self._sharing = Sharing(environment, self._share_anew)
        self._gate: gate.Gate | None = None

    # --- for users and the gate ---------------------------------------------------------------------------

    def wait(self, of: Arrivals) -> None:
        """Wait in the user's greenlet for an arrival."""
        greenlet = self._greenlet()
        turn = self._turns.get(of) or self._add(of)
        greenlet.streamlab_due = turn.wait()

    def beat(self, first_s: float, interval_s: Callable[[float], float]) -> Beat:
        """Return a schedule of one user's own, in readings of `perf_counter`."""
        return Beat(first_s, interval_s, self._tally)

    def keep(self, beat: Beat) -> None:
        """Wait in the user's greenlet until something is due by its own *beat*."""
        greenlet = self._greenlet()
        while (due_s := beat.take(now_s := perf_counter())) is None:
            gevent.sleep(beat.next_s - now_s)
        greenlet.streamlab_due = due_s

    def claim(self, detail: Detail | None, started_at: float) -> tuple[float, float] | None:
        """Return (scheduled_at, wait_ms) of the first request of an iteration, None for any other.

        Args:
            started_at: When the request began, epoch seconds.
        """
        greenlet: Any = gevent.getcurrent()
        due = getattr(greenlet, "streamlab_due", None)
        if due is None or (detail is not None and detail.operation in _ASIDE):
            return None
        greenlet.streamlab_due = None
        scheduled_at = epoch_s(due)
        if detail is None or detail.protocol == "http":
            # Locust's clients tell the time by the system's clock, which may have been set since the start.
            scheduled_at += time.time() - now()
        return scheduled_at, max(0.0, (started_at - scheduled_at) * 1000.0)

    def counts(self) -> dict[str, int]:
        """Return the totals of this process in the present run, by name; empty without a schedule."""
        found = [turn.counts() for turn in self._turns.values()]
        if (own := self._tally.counts()).due:
            found.append(own)
        return Counts(*map(sum, zip(*found, strict=True)))._asdict() if found else {}

    # --- life cycle ---------------------------------------------------------------------------------------

    def begin(self) -> None:
        """A test starts: agree on its terms, and let the users of paced classes wait for their first task."""
        paced = {cls: cls.wait_time for cls in self._environment.user_classes if _is_paced(cls)}
        self._turns, self._tally = {}, Tally()
        if self._gate is not None:
            self._gate.arrivals = None
            self._gate = None
        if not paced:
            return
        for user_class in paced:
            _wait_first(user_class)
        self._sharing.begin()
        # A master has no users.
        if not isinstance(self._environment.runner, MasterRunner):
            for one in paced.values():
                self._add(one)
            self._meet_gate()

    def end(self) -> None:
        """The test stops: nothing starts any more."""
        self._sharing.end()
        for turn in self._turns.values():
            turn.stop()

    def _greenlet(self) -> Any:
        """Return the user's greenlet, to which nothing is due any more."""
        greenlet: Any = gevent.getcurrent()
        greenlet.streamlab_due = None
        if self._gate is None:
            self._meet_gate()
        return greenlet

    def _meet_gate(self) -> None:
        # There is none without Streamlab, nor before its own listener when that comes second.
        self._gate = gate.of(self._environment)
        if self._gate is not None:
            self._gate.arrivals = self

    def _add(self, of: Arrivals) -> Turn:
        turn = self._turns[of] = Turn(of.schedule, *self._sharing.terms())
        return turn

    def _share_anew(self) -> None:
        for turn in self._turns.values():
            turn.share(self._sharing.terms().share)


def _is_paced(user_class: Any) -> bool:
    return isinstance(getattr(user_class, "wait_time", None), Arrivals)


def _wait_first(user_class: Any) -> None:
    """Let users of a class wait for an arrival before their first task too, where Locust does not wait."""
    run: Callable[[Any], None] = user_class.run
    if getattr(run, "streamlab_waits", False):
        return

    def run_paced(user: Any) -> None:
        on_start = user.on_start

        def on_start_and_wait() -> None:
            del user.on_start
            on_start()
            if _is_paced(type(user)) and user._state != LOCUST_STATE_STOPPING:
                user.wait()

        user.on_start = on_start_and_wait
        run(user)

    run_paced.streamlab_waits = True  # type: ignore[attr-defined]
    user_class.run = run_paced
