"""How far a worker's clock is from its master's, and how sure that is.

A worker asks the master for the time and looks at its own clock before and after, as NTP does (RFC 5905): the
master's answer was made somewhere in between, so half of the round trip is the uncertainty. Of the newest
answers the quickest one counts, since whatever held the others up spoiled them.
"""

from __future__ import annotations

from collections import deque
from typing import Any, NamedTuple

import gevent

from streamlab_plugin.users.clock import now

# The message in which a question travels, and its answer.
QUESTION = "streamlab_clock"
# As many answers as RFC 5905 keeps; the first ones come quickly, so that a short run has them, too.
KEPT = 8
_HURRY_S = 0.1
_PAUSE_S = 10.0


class Offset(NamedTuple):
    """The master's clock minus this one's, and the most that this may be wrong by (milliseconds)."""

    offset_ms: float
    uncertainty_ms: float


def answer(environment: Any, msg: Any, **_arguments: Any) -> None:
    """Tell the worker that asked what time it is here (master)."""
    environment.runner.send_message(QUESTION, {"asked": msg.data["asked"], "now": now()}, msg.node_id)


class ClockOffset:
    """Ask the master from time to time, from `begin` to `end` (worker)."""

    def __init__(self, runner: Any) -> None:
        self._runner = runner
        self._answers: deque[Offset] = deque(maxlen=KEPT)
        self._asking: gevent.Greenlet[[], None] | None = None
        runner.register_message(QUESTION, self._answered)

    def begin(self) -> None:
        """Begin to ask; what was heard before is forgotten."""
        self.end()
        self._answers.clear()
        self._asking = gevent.spawn(self._ask)

    def end(self) -> None:
        """Ask no more."""
        if self._asking is not None:
            self._asking.kill(block=False)
            self._asking = None

    def estimate(self) -> Offset | None:
        """Return the best of the newest answers, None before the first."""
        return min(self._answers, key=lambda one: one.uncertainty_ms, default=None)

    def _ask(self) -> None:
        asked = 0
        while True:
            try:
                self._runner.send_message(QUESTION, {"asked": now()})
            except Exception:  # noqa: BLE001 - guard line: the master has gone, which Locust itself will say
                return
            asked += 1
            gevent.sleep(_HURRY_S if asked < KEPT else _PAUSE_S)

    def _answered(self, msg: Any, **_arguments: Any) -> None:
        heard, asked = now(), float(msg.data["asked"])
        middle = (asked + heard) / 2
        self._answers.append(Offset((float(msg.data["now"]) - middle) * 1000.0, (heard - asked) * 500.0))
