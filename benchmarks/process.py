"""Processes from outside: what they have used, and when something is so."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator

import psutil

MEGABYTE = 1_000_000


def cpu_s(process: psutil.Process) -> float:
    """Return the processor time of *process* so far, user and system; 0 when it has gone."""
    try:
        times = process.cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    return times.user + times.system


def resident_mb(process: psutil.Process) -> float:
    """Return the memory of *process* in MB; 0 when it has gone."""
    try:
        return process.memory_info().rss / MEGABYTE
    except psutil.NoSuchProcess:
        return 0.0


def wait_until(is_reached: Callable[[], bool], what: str, timeout_s: float = 20.0) -> None:
    """Poll until *is_reached*.

    Raises:
        RuntimeError: it takes too long.
    """
    deadline = time.monotonic() + timeout_s
    while not is_reached():
        if time.monotonic() > deadline:
            raise RuntimeError(f"{what}: not within {timeout_s:.0f} s")
        time.sleep(0.05)


def round_robin(variants: tuple[str, ...], rounds: int) -> Iterator[str]:
    """Yield A B C A B C …: what changes on the machine meanwhile meets all of them."""
    for _round in range(rounds):
        yield from variants


def progress(what: str) -> None:
    """Say on standard error what is being measured now."""
    print(f"{time.strftime('%H:%M:%S')} {what}", file=sys.stderr, flush=True)
