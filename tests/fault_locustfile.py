"""Paced users for the fault tests, and what the process that runs them notes about itself.

``FAULT_RATE`` is the rate of one user. ``FAULT_USERS`` chooses them: ``websocket`` asks the target, ``bare``
fires request events without any target. Each process writes three files into the working directory, named
by its process id: ``stall-*.json`` with the stalls of its event loop, ``memory-*.csv`` with a line a second,
and ``fired-*.txt`` with the number of events that bare users have fired.
"""

from __future__ import annotations

import gc
import itertools
import json
import os
import random
import time
from bisect import bisect_left, bisect_right
from pathlib import Path
from typing import Any

import fault_injection
import gevent
import psutil
from greenlet import greenlet
from locust import User, constant_throughput, events, task

from streamlab_plugin import WebSocketUser, install

fault_injection.patch_locust()
install()

RATE = float(os.environ["FAULT_RATE"])
SAMPLE_S = 0.005
COUNTS_GREENLETS = os.environ.get("FAULT_GREENLETS") == "1"
numbers = itertools.count(1)
fired = 0


if os.environ.get("FAULT_USERS", "websocket") == "websocket":

    class Asker(WebSocketUser):
        """Sends a message with an id that names this process, and waits for it to come back."""

        wait_time = constant_throughput(RATE)
        fails = os.environ.get("FAULT_TASK_ERRORS") == "1"

        def on_start(self) -> None:
            """Connect, and begin at a moment of its own, so that requests do not come in bursts."""
            self.connect()
            gevent.sleep(random.random() / RATE)

        @task
        def ask(self) -> None:
            """Ask once; some tasks fail after that, where the test wants it."""
            number = next(numbers)
            self.request({"correlation_id": f"{os.getpid()}-{number}", "type": "ask"}, name="ask")
            if self.fails and number % 50 == 0:
                raise ValueError(f"task {number} fails on purpose")

else:

    class Bare(User):
        """Fires events, no more; ten at a time, since a timer costs more than an event."""

        wait_time = constant_throughput(RATE / 10)

        @task
        def fire(self) -> None:
            """Fire ten events."""
            global fired
            hook = self.environment.events.request
            for _ in range(10):
                fired += 1
                hook.fire(
                    request_type="GET", name="bare", response_time=1.5, response_length=100, response=None,
                    exception=None, context={},
                )  # fmt: skip


class Observer:
    """Notes how late the event loop is and how much the process holds."""

    def __init__(self) -> None:
        # How often it was late by so many tenths of a millisecond; a list of all would be a leak of its own.
        self.late = [0] * 10_000
        self.is_done = False

    def start(self, **_arguments: Any) -> None:
        """Begin; the files get the id of the process that runs the users, not of the one that forked it."""
        gevent.spawn(self.watch_loop)
        gevent.spawn(self.watch_memory)

    def watch_loop(self) -> None:
        """Sleep shortly, again and again, and remember by how much too long."""
        while not self.is_done:
            began = time.perf_counter()
            gevent.sleep(SAMPLE_S)
            late_s = time.perf_counter() - began - SAMPLE_S
            self.late[min(max(0, int(late_s * 10_000)), len(self.late) - 1)] += 1

    def watch_memory(self) -> None:
        """Write a line a second: time, own memory, descriptors, greenlets."""
        process = psutil.Process()
        with open(f"memory-{os.getpid()}.csv", "w", buffering=1) as file:
            while not self.is_done:
                greenlets = (
                    sum(isinstance(one, greenlet) for one in gc.get_objects()) if COUNTS_GREENLETS else 0
                )
                rss = process.memory_info().rss
                file.write(f"{time.time():.3f},{rss},{process.num_fds()},{greenlets}\n")
                gevent.sleep(1)

    def stop(self, **_arguments: Any) -> None:
        """Write what was noted; a second call overwrites it with more."""
        count = sum(self.late)
        if count:
            reached = list(itertools.accumulate(self.late))
            p99, most = bisect_right(reached, 0.99 * count), bisect_left(reached, count)
            found = {"p99_ms": p99 / 10, "max_ms": most / 10, "n": count}
            Path(f"stall-{os.getpid()}.json").write_text(json.dumps(found))
        Path(f"fired-{os.getpid()}.txt").write_text(str(fired))


observer = Observer()
events.test_start.add_listener(observer.start)
events.test_stop.add_listener(observer.stop)
