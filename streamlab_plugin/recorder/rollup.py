"""What each series did in each second since the last batch.

A record belongs to the second in which its exchange ended; it costs one dictionary look-up here. Adding up
minutes, hours and sketches is the writer's business (store.buckets), so that a batch can be kept in the spool
and still be added to whatever is stored by then.
"""

from __future__ import annotations

import numpy as np

from streamlab_plugin.store.batch import Delta, Key


class Count:
    """The growing form of a `Delta`."""

    __slots__ = (
        "answered",
        "errors",
        "interrupted",
        "latencies_ms",
        "requests",
        "responses_ms",
        "size_sum",
        "timeouts",
    )

    def __init__(self) -> None:
        self.requests = 0
        self.errors = 0
        self.timeouts = 0
        self.interrupted = 0
        self.answered = 0
        self.size_sum = 0
        self.latencies_ms: list[float] = []
        self.responses_ms: list[float] | None = None  # from the first scheduled request on

    def add_response(self, response_ms: float) -> None:
        """Add a response time; those before it, which had no schedule, were their service times."""
        if self.responses_ms is None:
            self.responses_ms = list(self.latencies_ms)
        self.responses_ms.append(response_ms)


class Counts:
    """The counts of one stream, by second and series."""

    __slots__ = ("by_second",)

    def __init__(self) -> None:
        self.by_second: dict[tuple[int, Key], Count] = {}

    def take(self) -> list[Delta]:
        """Return what was counted since the last call."""
        taken, self.by_second = self.by_second, {}
        return [_delta(second, series, count) for (second, series), count in taken.items()]


def _delta(second: int, series: Key, count: Count) -> Delta:
    latencies = count.latencies_ms
    return Delta(
        second, series, count.requests, count.errors, count.timeouts, count.interrupted, count.answered,
        count.size_sum, np.asarray(latencies, dtype=np.float32), sum(latencies),
        min(latencies, default=None), max(latencies, default=None),
        None if count.responses_ms is None else np.asarray(count.responses_ms, dtype=np.float32),
    )  # fmt: skip
