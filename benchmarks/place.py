"""A folder for one measurement: everything it starts lives there, and is gone afterwards."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil

ROOT = Path(__file__).parents[1]
# A recorder ends by itself about a second after its last client; longer means that it hangs.
RECORDER_END_S = 20.0


class Place:
    """A temporary folder with its own database, key, sockets and home."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.database = folder / "streamlab.db"
        self.runtime = folder / "run"
        self.runtime.mkdir(mode=0o700)

    def environment(self, **variables: str) -> dict[str, str]:
        """Return the environment for a child process: this folder's places and *variables*."""
        kept = {
            name: value for name, value in os.environ.items() if not name.startswith(("STREAMLAB", "LOCUST"))
        }
        return {
            **kept,
            "HOME": str(self.folder),
            "XDG_RUNTIME_DIR": str(self.runtime),
            "XDG_CONFIG_HOME": str(self.folder / "config"),
            "XDG_STATE_HOME": str(self.folder / "state"),
            "STREAMLAB_DATABASE_URL": f"sqlite:///{self.database}",
            "STREAMLAB_KEY_FILE": str(self.folder / "key"),
            "PYTHONPATH": str(ROOT),
            **variables,
        }

    def run(self, *arguments: str, timeout_s: float, **variables: str) -> str:
        """Run ``python -m …`` to its end and return its standard output.

        Raises:
            RuntimeError: it failed; with the end of its error output.
        """
        try:
            done = subprocess.run(
                [sys.executable, "-m", *arguments], cwd=self.folder, env=self.environment(**variables),
                stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout_s,
            )  # fmt: skip
        except subprocess.TimeoutExpired as slow:
            raise RuntimeError(f"{arguments[0]} did not end within {timeout_s:.0f} s") from slow
        if done.returncode != 0:
            raise RuntimeError(f"{arguments[0]} ended with {done.returncode}: {done.stderr[-2000:]}")
        return done.stdout

    @contextlib.contextmanager
    def running(self, *arguments: str) -> Iterator[subprocess.Popen[str]]:
        """Run ``python -m …`` while the block lasts."""
        process = subprocess.Popen(
            [sys.executable, "-m", *arguments], cwd=self.folder, env=self.environment(),
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert process.stdout is not None
        try:
            yield process
        finally:
            process.kill()
            process.wait(10)
            process.stdout.close()

    def recorders(self) -> list[psutil.Process]:
        """Return the recorders whose socket is in this folder."""
        found = []
        for process in psutil.process_iter(["cmdline"]):
            arguments = process.info["cmdline"] or []
            if "streamlab_plugin.recorder" in arguments and arguments[-1].startswith(str(self.runtime)):
                found.append(process)
        return found

    def wait_recorders(self) -> None:
        """Wait until this folder's recorders have ended and the write-ahead log is in the database."""
        psutil.wait_procs(self.recorders(), RECORDER_END_S)

    def end(self) -> None:
        """Kill what is left."""
        for process in self.recorders():
            with contextlib.suppress(psutil.Error):
                process.kill()
                process.wait(5)


@contextlib.contextmanager
def new_place() -> Iterator[Place]:
    """Make a place and remove it afterwards, with every recorder in it."""
    folder = Path(tempfile.mkdtemp(prefix="streamlab-bench-"))
    place = Place(folder)
    try:
        yield place
        place.wait_recorders()
    finally:
        place.end()
        shutil.rmtree(folder, ignore_errors=True)


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
