"""A recorder as a process of its own, and the Locust side of the link by hand."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sqlalchemy import text

from streamlab_plugin import config
from streamlab_plugin.core.errors import StreamlabError
from streamlab_plugin.core.record import RawRecord
from streamlab_plugin.link.framing import Unframer, frame
from streamlab_plugin.link.message import (
    LINK_VERSION,
    Ack,
    Downlink,
    Frame,
    Hello,
    OpenProcess,
    OpenRun,
    Uplink,
    decode_downlink,
    encode,
)
from streamlab_plugin.store.engine import open_store
from streamlab_plugin.store.reading import read
from streamlab_plugin.store.spool_status import spool_path

DEADLINE_S = 20.0


class Recorder:
    """A recorder process, with socket, key, log and spool in *folder*."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder = folder
        self.path = folder / "r.sock"
        self.url = url
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def state(self) -> dict[str, str]:
        """The environment that says where the spool is."""
        return {"XDG_STATE_HOME": str(self.folder / "state")}

    @property
    def spool(self) -> Path:
        """The spool's file."""
        return spool_path(self.url, self.state)

    @property
    def log(self) -> str:
        """What it has logged."""
        return (self.folder / "recorder.log").read_text()

    @property
    def is_running(self) -> bool:
        """Whether the process lives."""
        return self.process is not None and self.process.poll() is None

    def start(self, url: str | None = None) -> None:
        """Start it, by default on its own database; the socket comes a moment later."""
        environment = {
            **os.environ,
            **self.state,
            "STREAMLAB_DATABASE_URL": url or self.url,
            "STREAMLAB_KEY_FILE": str(self.folder / "key"),
        }
        command = [sys.executable, "-m", "streamlab_plugin.recorder", "--socket", str(self.path)]
        with open(self.folder / "recorder.log", "ab") as log:
            self.process = subprocess.Popen(command, env=environment, stderr=log)

    def kill(self) -> None:
        """Let it die at once."""
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def end(self) -> int:
        """Wait for it to end by itself."""
        assert self.process is not None
        return self.process.wait(DEADLINE_S)

    def close(self) -> None:
        """Clean up."""
        if self.is_running:
            self.kill()

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """Read from the database."""
        engine = open_store(self.url, read_only=True)
        return read(engine, lambda connection: [tuple(row) for row in connection.execute(text(sql))])

    def await_rows(self, sql: str, expected: list[tuple[Any, ...]]) -> None:
        """Wait until a query has this answer."""
        found: list[tuple[Any, ...]] = []

        def is_there() -> bool:
            nonlocal found
            try:
                found = self.query(sql)
            except StreamlabError:
                return False  # not yet back
            return found == expected

        wait_until(is_there, lambda: f"{sql}: {found}, not {expected}; {self.log}")


def wait_until(condition: Callable[[], Any], say: Callable[[], str]) -> None:
    """Wait for *condition*, bounded."""
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, say()
        time.sleep(0.02)


class Client:
    """The Locust side, by hand."""

    def __init__(
        self,
        recorder: Recorder,
        role: str = "standalone",
        version: int = LINK_VERSION,
        *,
        is_back: bool = False,
    ) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.settimeout(DEADLINE_S)
        deadline = time.monotonic() + DEADLINE_S
        while True:
            try:
                self.socket.connect(str(recorder.path))
                break
            except OSError:
                assert recorder.is_running, recorder.log
                assert time.monotonic() < deadline, recorder.log
                time.sleep(0.02)
        self.unframer = Unframer()
        self.heard: list[Downlink] = []
        self.say(Hello(version, os.getpid(), role, is_back))

    def say(self, *messages: Uplink) -> None:
        """Send messages."""
        for message in messages:
            self.socket.sendall(frame(encode(message)))

    def hear(self, *kinds: type[Any]) -> Any:
        """Return the next message of one of *kinds*, remembering the others."""
        while True:
            for index, message in enumerate(self.heard):
                if isinstance(message, kinds):
                    return self.heard.pop(index)
            data = self.socket.recv(65536)
            assert data, "the recorder hung up"
            self.heard += [decode_downlink(body) for body in self.unframer.feed(data)]

    def hear_ack(self, number: int) -> None:
        """Wait until everything up to *number* is on disk."""
        while self.hear(Ack).number < number:
            pass

    def close(self) -> None:
        """Hang up."""
        self.socket.close()


def records(first: int, count: int, **changes: Any) -> list[RawRecord]:
    """Return *count* records numbered from *first*."""
    plain = RawRecord(
        0, "http", "GET", "/a", "out", "App", time.time(), None, 12.5, None, 20,
        b'{"status":"ok","name":"Anna"}',
        "success", 200, None, None, "c", None, None, None,
    )  # fmt: skip
    return [plain._replace(seq=number, **changes) for number in range(first, first + count)]


def opening(
    run: str = "run-1", process: str = "p-1", role: str = "standalone", **changes: Any
) -> tuple[OpenRun, OpenProcess]:
    """Return the opening words of a stream; *changes* are the process's."""
    now = time.time()
    return (
        OpenRun(run, "test", now, "http://t", "t.py", 0, config.load(environment={}).body(), {}),
        OpenProcess(run, process, role, os.getpid(), now, **changes),
    )


def a_frame(number: int, held: list[RawRecord], process: str = "p-1") -> Frame:
    """Return a frame whose produced total is the last number."""
    return Frame(process, number, held[-1].seq, {}, 3, time.time(), held)
