"""How much processes hold over time, sampled from outside, and how fast that grows."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from types import TracebackType
from typing import NamedTuple

import numpy as np
import psutil

MB = 1e6
EVERY_S = 0.5
BLOCK = 20


class Sample(NamedTuple):
    """One look at a process; ``at`` in epoch seconds, ``rss`` its resident memory in bytes.

    Not the part that is its own alone: a page of a library becomes that when others who map it have ended.
    """

    at: float
    rss: int
    descriptors: int


class Slope(NamedTuple):
    """Growth by a linear fit, in MB per hour, and half the width of its 95 % interval."""

    mb_per_hour: float
    margin: float


@dataclass
class Watcher:
    """Look at a process twice a second, in a thread of its own, while block and process last."""

    pid: int
    samples: list[Sample] = field(default_factory=list)

    def __enter__(self) -> Watcher:
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._done.set()
        self._thread.join(10)

    def _look(self) -> None:
        try:
            process = psutil.Process(self.pid)
            while not self._done.wait(EVERY_S):
                self.samples.append(Sample(time.time(), process.memory_info().rss, process.num_fds()))
        except psutil.Error:
            pass  # it has ended

    def growth_mb(self, since: float) -> float:
        """Return the most that it held after *since* beyond what it held then."""
        before = [one.rss for one in self.samples if one.at <= since]
        after = [one.rss for one in self.samples if one.at > since]
        return (max(after) - before[-1]) / MB

    def between(self, since: float, until: float) -> list[Sample]:
        """Return the samples of a time."""
        return [one for one in self.samples if since <= one.at <= until]


def slope(samples: list[Sample]) -> Slope:
    """Fit a line through what the process held.

    Neighbouring samples are nearly the same: the interval is that of the means of `BLOCK` of them.
    """
    count = len(samples) // BLOCK * BLOCK
    hours = np.array([one.at for one in samples[:count]]).reshape(-1, BLOCK).mean(axis=1) / 3600
    held = np.array([one.rss for one in samples[:count]]).reshape(-1, BLOCK).mean(axis=1) / MB
    (found, _start), covariance = np.polyfit(hours - hours.mean(), held, 1, cov=True)
    return Slope(float(found), float(1.96 * np.sqrt(covariance[0, 0])))


def second_half_mb(samples: list[Sample]) -> float:
    """Return by how much the median of the second half exceeds the one of the first."""
    held = np.array([one.rss for one in samples]) / MB
    return float(np.median(held[len(held) // 2 :]) - np.median(held[: len(held) // 2]))
