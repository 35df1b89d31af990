"""Run the demo target and Locust as a user would, in processes of their own, and read what they left.

The target's own log is the oracle: it knows what it saw and what it sent.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from proxy import steady_port

ROOT = Path(__file__).parents[2]
LOCUSTFILES = ROOT / "locustfiles"


def free_port() -> int:
    """Return a port that is free now, and that no connection of another test will be given."""
    return steady_port()


@dataclass
class Place:
    """A folder with everything that a run must not share with another one."""

    folder: Path
    variables: dict[str, str] = field(default_factory=dict)

    @property
    def database(self) -> Path:
        """The database file."""
        return self.folder / "streamlab.db"

    def environment(self) -> dict[str, str]:
        """Return the environment for a child process."""
        kept = {
            name: value for name, value in os.environ.items() if not name.startswith(("STREAMLAB", "LOCUST"))
        }
        runtime = self.folder / "run"
        runtime.mkdir(mode=0o700, exist_ok=True)
        return {
            **kept,
            "HOME": str(self.folder),
            "XDG_RUNTIME_DIR": str(runtime),
            "XDG_CONFIG_HOME": str(self.folder / "config"),
            "STREAMLAB_DATABASE_URL": f"sqlite:///{self.database}",
            "PYTHONUNBUFFERED": "1",
            **self.variables,
        }

    def run(self, *arguments: str, timeout_s: float = 60, **options: Any) -> subprocess.CompletedProcess[str]:
        """Run a command to its end, standard error and output together."""
        return subprocess.run(
            arguments, cwd=self.folder, env=self.environment(), stdin=subprocess.DEVNULL, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=timeout_s, **options,
        )  # fmt: skip

    def streamlab(self, *arguments: str, timeout_s: float = 60) -> subprocess.CompletedProcess[str]:
        """Run the streamlab command."""
        return self.run(sys.executable, "-m", "streamlab_plugin.cli", *arguments, timeout_s=timeout_s)

    def locust(self, *arguments: str, timeout_s: float = 90) -> subprocess.CompletedProcess[str]:
        """Run Locust to its end."""
        return self.run(sys.executable, "-m", "locust", *arguments, timeout_s=timeout_s)

    def start(self, *arguments: str, log: str, group: bool = True) -> Child:
        """Start a command in its own process group; its output goes to the file *log* of the folder."""
        path = self.folder / log
        with open(path, "ab") as output:
            process = subprocess.Popen(
                arguments, cwd=self.folder, env=self.environment(), stdin=subprocess.DEVNULL,
                stdout=output, stderr=output, process_group=0 if group else None,
            )  # fmt: skip
        return Child(process, path)

    def query(self, sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
        """Read from the database."""
        with contextlib.closing(sqlite3.connect(f"file:{self.database}?mode=ro", uri=True)) as connection:
            return connection.execute(sql, parameters).fetchall()

    def value(self, sql: str, *parameters: Any) -> Any:
        """Read one value, or None."""
        rows = self.query(sql, *parameters)
        return rows[0][0] if rows else None


@dataclass
class Child:
    """A process that was started, and where its output goes."""

    process: subprocess.Popen[bytes]
    log: Path

    def text(self) -> str:
        """Return its output so far."""
        return self.log.read_text(errors="replace")

    def signal_group(self, number: int) -> None:
        """Send a signal to the whole process group, as a terminal does."""
        os.killpg(self.process.pid, number)

    def wait(self, timeout_s: float = 60) -> int:
        """Wait for its end; kill it and fail when that takes too long."""
        try:
            return self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"did not end within {timeout_s} s:\n{self.text()[-4000:]}") from None

    def kill(self) -> None:
        """End the whole group with force."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(10)


def wait_for(condition: Any, what: str, timeout_s: float = 20, every_s: float = 0.05) -> Any:
    """Poll *condition* until it returns something true, and return that."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        with contextlib.suppress(sqlite3.Error, OSError):
            if found := condition():
                return found
        time.sleep(every_s)
    raise AssertionError(f"{what}: not within {timeout_s} s")


@dataclass
class Target:
    """The demo target, running."""

    place: Place
    ready: Mapping[str, Any]
    log: Path

    def variables(self) -> dict[str, str]:
        """Return where the demo scenario finds the target."""
        return {
            "STREAMLAB_DEMO_HTTP": f"http://127.0.0.1:{self.ready['http']}",
            "STREAMLAB_DEMO_WS": f"ws://127.0.0.1:{self.ready['ws']}",
            "STREAMLAB_DEMO_MQTT": f"mqtt://127.0.0.1:{self.ready['mqtt']}",
        }

    def events(self) -> list[dict[str, Any]]:
        """Return everything that the target logged."""
        return [json.loads(line) for line in self.log.read_text().splitlines()]


@contextlib.contextmanager
def demo_target(place: Place, duration_s: float = 60, seed: int = 7) -> Iterator[Target]:
    """Run the demo target; on leaving, it has ended and its log is complete."""
    log = place.folder / "target.jsonl"
    process = subprocess.Popen(
        [sys.executable, "-m", "streamlab_plugin.demo", "--quiet", "--duration", str(duration_s),
         "--seed", str(seed), "--log", str(log)],
        cwd=place.folder, env=place.environment(), stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    try:
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            assert selector.select(30), "the demo target did not start"
        target = Target(place, json.loads(process.stdout.readline()), log)
        place.variables.update(target.variables())
        yield target
    finally:
        process.terminate()
        process.wait(10)
        process.stdout.close()


def summarise(child_or_text: Any) -> str:
    """Return the end of an output, for assertion messages."""
    text = child_or_text.text() if isinstance(child_or_text, Child) else str(child_or_text)
    return text[-6000:]


def ledger_is_balanced(place: Place) -> bool:
    """Whether every closed process accounts for all it produced, counted from the rows themselves."""
    for process_id, state, produced, quarantined, dropped in place.query(
        "SELECT id, state, produced, quarantined, dropped FROM processes"
    ):
        rows = place.value("SELECT count(*) FROM records WHERE process_id = ?", process_id)
        if state != "closed" or produced != rows + quarantined + sum(json.loads(dropped).values()):
            return False
    return True


def tally(values: Sequence[Any]) -> Counter[Any]:
    """Count values."""
    return Counter(values)
