"""How long a client waits before it connects again: exponential back-off with jitter.

Without jitter all clients of a server that was restarted come back at the same moments. Full jitter draws
from zero to the bound (Marc Brooker, "Exponential Backoff And Jitter", 2015).
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable
from typing import Any


class Backoff:
    """Delays of one client; the bound doubles with each failure from *first_s* up to *most_s* (seconds).

    Args:
        first_s: Bound of the first delay.
        most_s: Largest bound.
        jitter: Share of a delay that is drawn: 0 none, 1 all of it.
        chance: Draws from 0 to 1.
    """

    def __init__(
        self,
        first_s: float,
        most_s: float,
        *,
        jitter: float = 1.0,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._first_s = first_s
        self._most_s = most_s
        self._jitter = jitter
        self._chance = chance
        self._failures = 0

    def failed(self) -> None:
        """Count a connection that was lost, or could not be opened."""
        self._failures += 1

    def succeeded(self) -> None:
        """Forget the failures."""
        self._failures = 0

    def delay_s(self) -> float:
        """Return how long to wait before the next attempt; 0 before the first failure."""
        if not self._failures or self._first_s <= 0:
            return 0.0
        # Doubling stops counting where no bound is that large.
        bound_s = self._first_s * 2.0 ** min(self._failures - 1, 60)
        return min(bound_s, self._most_s) * (1.0 - self._jitter * self._chance())


def check_pauses(first_s: float, most_s: float, jitter: float) -> None:
    """Check what a `Backoff` gets that must pause, lest a server that is down is called without end.

    Raises:
        ValueError: One of them cannot be; the text begins with the name of the attribute of a user.
    """
    if not 0 < first_s <= most_s:
        raise ValueError(f"reconnect_delay_s must be above 0, at most {most_s!r}, got {first_s!r}")
    if not 0 <= jitter <= 1:
        raise ValueError(f"reconnect_jitter must be from 0 to 1, got {jitter!r}")


def next_seed(environment: Any) -> str:
    """Return the seed of the next user of a Locust environment: the worker's index and the user's in it."""
    indexes = getattr(environment, "streamlab_user_indexes", None)
    if indexes is None:
        indexes = environment.streamlab_user_indexes = itertools.count()
    return f"{getattr(environment.runner, 'worker_index', 0)}:{next(indexes)}"
