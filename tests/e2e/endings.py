"""Runs of the demo scenario that end in every way in which a Locust test can end."""

from __future__ import annotations

import json
import os
import signal
import sys
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from comparison import counts, differences
from harness import LOCUSTFILES, Place, demo_target, free_port, ledger_is_balanced, summarise, wait_for

SIGNALS = {"ctrl-c": signal.SIGINT, "sigterm": signal.SIGTERM, "sighup": signal.SIGHUP}
ENDINGS = ("run-time", "ctrl-c", "sigterm", "sighup", "stop-button")


@dataclass(frozen=True)
class Ended:
    """What a run left."""

    exit_code: int
    output: str
    differences: list[str]
    seen: int
    balanced: bool
    state: str
    produced: int
    stored: int
    recording: int
    clocks: list[tuple[float, float]]  # of the workers: offset from the master's, uncertainty


def run_until(
    folder: Path,
    ending: str,
    stop_timeout_s: int,
    arguments: tuple[str, ...] = (),
    duration_s: int = 6,
    workers_apart: int = 0,
) -> Ended:
    """Run the demo scenario, end it as *ending* says after some seconds, and compare it with the target."""
    folder.mkdir(parents=True, exist_ok=True)
    place = Place(folder)
    with demo_target(place, duration_s=duration_s + 20) as target:
        port = free_port()
        command = [
            sys.executable, "-m", "locust", "-f", str(LOCUSTFILES / "demo.py"), "-u", "20", "-r", "20",
            "--stop-timeout", str(stop_timeout_s), *arguments,
        ]  # fmt: skip
        if ending == "stop-button":
            command += ["--autostart", "--web-host", "127.0.0.1", "--web-port", str(port)]
        else:
            command += ["--headless", "--only-summary"]
        if ending == "run-time":
            command += ["--run-time", f"{duration_s}s"]
        workers = []
        if workers_apart:
            command += ["--master", "--expect-workers", str(workers_apart)]
            command += ["--master-bind-port", str(free_port())]
        elif "--processes" in arguments:
            bus = str(free_port())
            command += ["--master-bind-port", bus, "--master-port", bus]
        locust = place.start(*command, log="locust.log")
        for number in range(workers_apart):
            worker = [sys.executable, "-m", "locust", "-f", str(LOCUSTFILES / "demo.py"), "--worker",
                      "--master-port", command[-1]]  # fmt: skip
            workers.append(place.start(*worker, log=f"worker{number}.log"))
        try:
            wait_for(
                lambda: (place.value("SELECT sum(stored) FROM processes") or 0) > 50 * duration_s,
                f"records are stored ({ending})", timeout_s=duration_s + 30,
            )  # fmt: skip
            if ending in SIGNALS:
                os.killpg(locust.process.pid, SIGNALS[ending])
            elif ending == "stop-button":
                request = urllib.request.Request(f"http://127.0.0.1:{port}/stop", method="POST")
                urllib.request.urlopen(request, timeout=30).read()
                wait_for(lambda: place.value("SELECT count(*) FROM verdicts"), "a verdict after Stop")
                if workers_apart:
                    # Locust forgets a worker that has stopped until it is ready again, and would not end it.
                    ready = workers_apart * 2
                    wait_for(lambda: locust.text().count("reported as ready") >= ready, "workers are ready")
                os.killpg(locust.process.pid, signal.SIGTERM)
            exit_code = locust.wait(duration_s + 60)
            for worker_process in workers:
                worker_process.wait(30)
        finally:
            for child in (locust, *workers):
                child.kill()
    produced, stored = place.query("SELECT sum(produced), sum(stored) FROM processes")[0]
    return Ended(
        exit_code, summarise(locust), differences(place, target), sum(counts(target).values()),
        ledger_is_balanced(place), place.value("SELECT state FROM runs"), produced, stored,
        place.value("SELECT count(DISTINCT process_id) FROM records"),
        [
            tuple(json.loads(text))
            for (text,) in place.query("SELECT clock FROM processes WHERE role = 'worker'")
        ],
    )  # fmt: skip
