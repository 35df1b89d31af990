"""The folder of one canary run and the processes in it: nothing of it reaches what the user has."""

from __future__ import annotations

import contextlib
import os
import selectors
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from streamlab_plugin.core.errors import InfrastructureError

READY_S = 60.0
STOP_S = 90.0
COMMAND_S = 300.0


class Place:
    """A folder with its own database, key, spool, archive and logs.

    Args:
        folder: Exists and is empty.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.database_url = f"sqlite:///{folder / 'streamlab.db'}"
        # A socket's path may have 108 bytes at most.
        self.runtime = Path(tempfile.mkdtemp(prefix="streamlab-"))
        self._processes: list[subprocess.Popen[Any]] = []
        (folder / "tmp").mkdir()

    def environment(self) -> dict[str, str]:
        """Return the environment of everything that runs here."""
        own = ("STREAMLAB", "LOCUST", "XDG_")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(own)}
        return {
            **kept,
            "HOME": str(self.folder),
            "TMPDIR": str(self.folder / "tmp"),
            "XDG_RUNTIME_DIR": str(self.runtime),
            "XDG_STATE_HOME": str(self.folder / "state"),
            "STREAMLAB_DATABASE_URL": self.database_url,
            "STREAMLAB_KEY_FILE": str(self.folder / "key"),
            "PYTHONUNBUFFERED": "1",
        }

    def start(self, name: str, *arguments: str, answers: bool = False) -> subprocess.Popen[bytes]:
        """Start ``python ARGUMENTS``; its output goes to ``NAME.out`` and ``NAME.err``.

        With *answers* its standard output is a pipe instead.
        """
        out = subprocess.PIPE if answers else open(self.folder / f"{name}.out", "wb")  # noqa: SIM115
        with open(self.folder / f"{name}.err", "wb") as err:
            process = subprocess.Popen(
                [sys.executable, *arguments], cwd=self.folder, env=self.environment(),
                stdin=subprocess.DEVNULL, stdout=out, stderr=err, process_group=0,
            )  # fmt: skip
        if not isinstance(out, int):
            out.close()
        self._processes.append(process)
        return process

    def command(self, *arguments: str) -> bytes:
        """Return what a ``streamlab`` command says, on either output; its exit code may be any."""
        return subprocess.run(
            [sys.executable, "-m", "streamlab_plugin.cli", *arguments], cwd=self.folder,
            env=self.environment(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, timeout=COMMAND_S, check=False,
        ).stdout  # fmt: skip

    def complaint(self, name: str) -> str:
        """Return the last line that a process wrote on its error output."""
        lines = (self.folder / f"{name}.err").read_text(errors="replace").strip().splitlines()
        return lines[-1] if lines else "it said nothing"

    def close(self) -> None:
        """End what still runs."""
        for process in reversed(self._processes):
            stop(process)
        shutil.rmtree(self.runtime, ignore_errors=True)


@contextlib.contextmanager
def open_place(kept: Path | None) -> Iterator[Place]:
    """Give a place in the folder *kept*, or in one that is removed afterwards."""
    # A shell lets what it starts in the background ignore Ctrl-C, by which Locust is told to end.
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    folder = kept or Path(tempfile.mkdtemp(prefix="streamlab-canary-"))
    place = Place(folder.absolute())
    try:
        yield place
    finally:
        place.close()
        if kept is None:
            shutil.rmtree(folder, ignore_errors=True)


def stop(process: subprocess.Popen[Any], number: int = signal.SIGTERM) -> int:
    """End a process in order, and with force when it does not end; return its exit code."""
    if process.poll() is None:
        process.send_signal(number)
    try:
        return process.wait(STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()
    finally:
        if process.stdout is not None:
            process.stdout.close()


def ready_line(process: subprocess.Popen[bytes], what: str) -> bytes:
    """Return the first line of a process's answers.

    Raises:
        InfrastructureError: it did not come.
    """
    assert process.stdout is not None
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        line = process.stdout.readline() if selector.select(READY_S) else b""
    if not line:
        raise InfrastructureError(f"the canary's {what} did not start within {READY_S:.0f} s")
    return line


def ready_ports(process: subprocess.Popen[bytes]) -> dict[str, int]:
    """Return the ports of the target."""
    ports: dict[str, int] = msgspec.json.decode(ready_line(process, "target"))
    return ports


def free_port() -> int:
    """Return a port of this machine that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
    return port
