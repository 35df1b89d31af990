"""How long a client waits before it connects again: exponential back-off with full jitter.

Without jitter all clients of a server that was restarted come back at the same moments. Full jitter draws
from zero to the bound (Marc Brooker, "Exponential Backoff And Jitter", 2015).
"""

from __future__ import annotations

import random


class Backoff:
    """Delays of one client; the bound doubles with each failure from *first_s* up to *most_s* (seconds)."""

    def __init__(self, first_s: float, most_s: float) -> None:
        self._first_s = first_s
        self._most_s = most_s
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
        return random.uniform(0.0, min(bound_s, self._most_s))
