"""A folder for one measurement: everything it starts lives there, and is gone afterwards."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil

from benchmarks.postgres import Server
from benchmarks.process import wait_until
from benchmarks.storage import Storage

ROOT = Path(__file__).parents[1]
ENGINES = ("sqlite", "postgresql")
LABELS = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}
# A recorder ends by itself about a second after its last client; longer means that it hangs.
RECORDER_END_S = 20.0


class Place:
    """A temporary folder with its own database, key, sockets and home.

    Args:
        folder: Where everything lives.
        database_url: A PostgreSQL database instead of a SQLite file in the folder.
    """

    def __init__(self, folder: Path, database_url: str | None = None) -> None:
        self.folder = folder
        self.storage = Storage(database_url or f"sqlite:///{folder / 'streamlab.db'}")
        self.runtime = folder / "run"
        self.runtime.mkdir(mode=0o700)

    def environment(self, **variables: str) -> dict[str, str]:
        """Return the environment for a child process: this folder's places and *variables*."""
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("STREAMLAB", "LOCUST", "PG"))
        }
        return {
            **kept,
            "HOME": str(self.folder),
            "XDG_RUNTIME_DIR": str(self.runtime),
            "XDG_CONFIG_HOME": str(self.folder / "config"),
            "XDG_STATE_HOME": str(self.folder / "state"),
            "STREAMLAB_DATABASE_URL": self.storage.url,
            "STREAMLAB_KEY_FILE": str(self.folder / "key"),
            "PYTHONPATH": str(ROOT),
            **variables,
        }

    def run(self, *arguments: str, timeout_s: float, python: Path | None = None, **variables: str) -> str:
        """Run ``python -m …`` to its end and return its standard output.

        Raises:
            RuntimeError: it failed; with the end of its error output.
        """
        try:
            done = subprocess.run(
                [python or sys.executable, "-m", *arguments], cwd=self.folder,
                env=self.environment(**variables),
                stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout_s,
            )  # fmt: skip
        except subprocess.TimeoutExpired as slow:
            raise RuntimeError(f"{arguments[0]} did not end within {timeout_s:.0f} s") from slow
        if done.returncode != 0:
            raise RuntimeError(f"{arguments[0]} ended with {done.returncode}: {done.stderr[-2000:]}")
        return done.stdout

    @contextlib.contextmanager
    def running(
        self, *arguments: str, python: Path | None = None, **variables: str
    ) -> Iterator[subprocess.Popen[str]]:
        """Run ``python -m …`` while the block lasts; its error output goes to ``error.log`` in the folder."""
        with (self.folder / "error.log").open("a") as log:
            process = subprocess.Popen(
                [python or sys.executable, "-m", *arguments], cwd=self.folder,
                env=self.environment(**variables),
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True,
            )  # fmt: skip
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield process
        finally:
            process.kill()
            process.wait(10)
            process.stdin.close()
            process.stdout.close()

    def recorders(self) -> list[psutil.Process]:
        """Return the recorders whose socket is in this folder."""
        found = []
        for process in psutil.process_iter(["cmdline"]):
            arguments = process.info["cmdline"] or []
            if "streamlab_plugin.recorder" in arguments and arguments[-1].startswith(str(self.runtime)):
                found.append(process)
        return found

    def recorder(self) -> psutil.Process:
        """Wait for this folder's recorder and return it."""
        wait_until(lambda: bool(self.recorders()), "the recorder")
        return self.recorders()[0]

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
def new_place(database_url: str | None = None) -> Iterator[Place]:
    """Make a place and remove it afterwards, with every recorder in it."""
    folder = Path(tempfile.mkdtemp(prefix="streamlab-bench-"))
    place = Place(folder, database_url)
    try:
        yield place
        place.wait_recorders()
    finally:
        place.end()
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def place_on(engine: str, server: Server) -> Iterator[Place]:
    """Make a place with a new database on *engine*, one of `ENGINES`; the one on *server* is dropped."""
    if engine == "sqlite":
        with new_place() as place:
            yield place
    else:
        with server.database() as url, new_place(url) as place:
            yield place
