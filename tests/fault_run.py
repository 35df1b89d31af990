"""A paced load test whose processes can be ended one by one, and what it leaves behind.

The target's log is the oracle: what it saw must be stored, once. Everything a run starts lives in a folder
of its own and is gone when the run is left.
"""

from __future__ import annotations

import contextlib
import os
import random
import selectors
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

import psutil
from fault_log import TargetLog, read_log
from fault_stored import Stored, read_stored, stored_so_far
from harness import Child, Place, free_port, summarise

RATE = int(os.environ.get("STREAMLAB_FAULT_RATE", "5000"))
QUICK_RATE = 400
# What a quick case may take longer: other tests use the machine at the same time.
QUICK_SLACK_S = 1.0
USERS = 50
HERE = Path(__file__).parent
RECORDER_END_S = 90.0

Layout = Literal["standalone", "processes", "apart"]


def moments(name: str) -> random.Random:
    """Return the source of a test's random moments; its seed is printed, and can be given."""
    seed = int(os.environ.get("STREAMLAB_FAULT_SEED") or random.SystemRandom().randrange(10**6))
    print(f"{name}: seed {seed} (repeat with STREAMLAB_FAULT_SEED={seed})")
    return random.Random(seed)


def wait_until(condition: Callable[[], Any], what: str, timeout_s: float, every_s: float = 0.02) -> Any:
    """Poll *condition* until it returns something true, and return that."""
    deadline = time.monotonic() + timeout_s
    while not (found := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: not within {timeout_s:g} s")
        time.sleep(every_s)
    return found


class FaultRun:
    """Target, Locust and recorder of one test.

    Args:
        folder: Where everything is kept; new or empty.
        database_url: Where records go.
        workers: How many worker processes; 0 is a standalone Locust.
        layout: With workers: forked by one command (``processes``) or started one by one (``apart``).
        rate: Requests per second of all users.
        seconds: How long the test runs.
        variables: For the environment of Locust and recorder.
        launcher: What is started in place of ``-m locust``.
    """

    def __init__(
        self, folder: Path, database_url: str, *, workers: int = 0, layout: Layout = "processes",
        rate: int = RATE, seconds: float = 10.0, variables: Mapping[str, str] | None = None,
        launcher: Sequence[str] = ("-m", "locust"),
    ) -> None:  # fmt: skip
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.database_url = database_url
        self.rate, self.seconds, self.workers = rate, seconds, workers
        self.layout: Layout = layout if workers else "standalone"
        self._launcher = launcher
        self._runtime = Path(tempfile.mkdtemp(prefix="streamlab-f-"))  # a socket's path must be short
        self.place = Place(
            folder,
            {
                "XDG_RUNTIME_DIR": str(self._runtime),
                "XDG_STATE_HOME": str(folder / "state"),
                "STREAMLAB_DATABASE_URL": database_url,
                "STREAMLAB_KEY_FILE": str(folder / "key"),
                "FAULT_RATE": str(rate / USERS),
                **(variables or {}),
            },
        )
        self.locust: Child
        self.apart: list[Child] = []
        self._target: subprocess.Popen[str] | None = None

    # --- life cycle ---------------------------------------------------------------------------------------

    def __enter__(self) -> FaultRun:
        try:
            self._start_target()
            self._start_locust()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            error.add_note(self.summary())
        self.close()

    def close(self) -> None:
        """End whatever still lives."""
        for child in (*self.apart, *([self.locust] if hasattr(self, "locust") else [])):
            child.kill()
        for process in self.recorders():
            with contextlib.suppress(psutil.Error):
                process.kill()
                process.wait(5)
        self._end_target()
        shutil.rmtree(self._runtime, ignore_errors=True)

    def _start_target(self) -> None:
        self._target = subprocess.Popen(
            [sys.executable, HERE / "fault_target.py", self._log], cwd=self.folder,
            env=self.place.environment(), stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert self._target.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(self._target.stdout, selectors.EVENT_READ)
            assert selector.select(30), "the target did not start"
        self.port = int(self._target.stdout.readline())

    def _end_target(self) -> None:
        if self._target is not None:
            self._target.terminate()
            self._target.wait(20)
            assert self._target.stdout is not None
            self._target.stdout.close()
            self._target = None

    def _start_locust(self) -> None:
        command = [sys.executable, *self._launcher, "-f", str(HERE / "fault_locustfile.py")]
        load = [
            "--headless", "--only-summary", "-u", str(USERS), "-r", "100", "-t", f"{self.seconds:g}s",
            "--host", f"ws://127.0.0.1:{self.port}",
        ]  # fmt: skip
        bus = str(free_port())
        if self.layout == "processes":
            load += ["--processes", str(self.workers), "--master-bind-port", bus, "--master-port", bus]
        elif self.layout == "apart":
            load += ["--master", "--expect-workers", str(self.workers), "--master-bind-port", bus]
        self.locust = self.place.start(*command, *load, log="locust.log")
        if self.layout == "apart":
            for number in range(self.workers):
                arguments = [*command, "--worker", "--master-port", bus]
                self.apart.append(self.place.start(*arguments, log=f"worker{number}.log"))

    # --- waiting ------------------------------------------------------------------------------------------

    @property
    def _log(self) -> Path:
        return self.folder / "target.log"

    def wait_running(self, seconds: float = 1.0) -> None:
        """Wait until the target has seen about *seconds* of the full load."""
        line_bytes = 40
        wait_until(
            lambda: self._log.exists() and self._log.stat().st_size > line_bytes * self.rate * seconds,
            f"the load runs\n{summarise(self.locust) if self.locust.process.poll() is not None else ''}", 60,
        )  # fmt: skip

    def wait_recorder_up(self) -> None:
        """Wait until there is a recorder."""
        wait_until(self.recorders, "there is a recorder", 40)

    def wait_recording(self) -> None:
        """Wait until records are in the database."""
        wait_until(lambda: stored_so_far(self.database_url) > 0, "records are stored", 60, every_s=0.1)

    def wait_locust(self, timeout_s: float | None = None) -> int:
        """Wait for the end of Locust and return its exit code."""
        code = self.locust.wait(timeout_s or self.seconds + 60)
        for child in self.apart:
            child.wait(30)
        return code

    def wait_recorder(self, timeout_s: float = RECORDER_END_S) -> None:
        """Wait until no recorder is left: then everything is where it will be."""
        wait_until(lambda: not self.recorders(), "the recorder ends", timeout_s, every_s=0.1)

    def finish(self) -> int:
        """Wait for the end of everything and return Locust's exit code."""
        code = self.wait_locust()
        self.wait_recorder()
        self._end_target()
        return code

    # --- processes ----------------------------------------------------------------------------------------

    def recorders(self) -> list[psutil.Process]:
        """Return the recorders with a socket in this run's place."""
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                arguments = process.cmdline()
                if "streamlab_plugin.recorder" in arguments and arguments[-1].startswith(str(self._runtime)):
                    found.append(process)
        return found

    def worker_pids(self) -> list[int]:
        """Return the processes that make load, oldest first."""
        if self.layout == "apart":
            return [child.process.pid for child in self.apart]
        if self.layout == "standalone":
            return [self.locust.process.pid]
        children = psutil.Process(self.locust.process.pid).children()
        return sorted(one.pid for one in children if "streamlab_plugin.recorder" not in one.cmdline())

    def kill_recorder(self) -> float:
        """Kill the recorder and return when (epoch seconds)."""
        self.wait_recorder_up()
        (process,) = self.recorders()
        at = time.time()
        process.kill()
        wait_until(lambda: not process.is_running() or _is_dead(process), "the recorder dies", 5, 0.002)
        return at

    def kill(self, pid: int) -> float:
        """Kill one Locust process and return when (epoch seconds)."""
        at = time.time()
        os.kill(pid, signal.SIGKILL)
        return at

    # --- results ------------------------------------------------------------------------------------------

    def seen(self) -> TargetLog:
        """Return what the target saw; complete after `finish`."""
        return read_log(self._log)

    def stored(self) -> Stored:
        """Return what is in the database."""
        return read_stored(self.database_url, self.folder / "key")

    def streamlab(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run the streamlab command in this place."""
        return self.place.streamlab(*arguments)

    def output(self) -> str:
        """Return what Locust and its workers printed."""
        return "".join(child.text() for child in (self.locust, *self.apart))

    def recorder_log(self) -> str:
        """Return what the recorders logged."""
        return "".join(path.read_text(errors="replace") for path in self._runtime.glob("streamlab/*.log"))

    def summary(self) -> str:
        """Return the ends of all outputs, for the message of a failure."""
        locust = self.output() if hasattr(self, "locust") else ""
        return f"--- locust\n{locust[-3000:]}\n--- recorder\n{self.recorder_log()[-3000:]}"


def _is_dead(process: psutil.Process) -> bool:
    try:
        return bool(process.status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True
