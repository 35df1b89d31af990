"""A Locust process's end of the link, without Locust: sends and hears at once."""

from __future__ import annotations

import contextlib
import os
import selectors
import socket
import subprocess
import sys
import time
from collections.abc import Iterator

from benchmarks.process import wait_until
from streamlab_plugin import config
from streamlab_plugin.link.framing import Unframer, frame
from streamlab_plugin.link.message import (
    LINK_VERSION,
    Ack,
    CloseProcess,
    Downlink,
    Hello,
    OpenProcess,
    OpenRun,
    StopRun,
    Uplink,
    VerdictReached,
    Welcome,
    decode_downlink,
    encode,
)

TIMEOUT_S = 120.0


class Feed:
    """A client's connection to the recorder at *path*, and its one stream."""

    def __init__(self, path: str, run: str, process: str) -> None:
        self.run = run
        self.process = process
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.connect(path)
        self._socket.setblocking(False)
        self._unframer = Unframer()
        self._heard: list[Downlink] = []
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._socket, selectors.EVENT_READ)

    def open(self, name: str, started_at: float) -> None:
        """Open the run and the stream, and wait until they are stored."""
        settings = config.load().body()
        self.send(Hello(LINK_VERSION, os.getpid(), "standalone"))
        self.until(Welcome)
        self.send(OpenRun(self.run, name, started_at, "ws://127.0.0.1", "bench.py", 0, settings, {}))
        self.send(OpenProcess(self.run, self.process, "standalone", os.getpid(), started_at))
        self.until(Ack)

    def finish(self, number: int, produced: int) -> None:
        """End stream and run, *number* being the last message, and wait for the verdict."""
        self.send(CloseProcess(self.process, number, produced, {}, time.time()))
        self.send(StopRun(self.run, time.time(), 0))
        self.until(VerdictReached)
        self._selector.close()
        self._socket.close()

    def send(self, message: Uplink) -> None:
        """Send one message."""
        self.send_bytes(frame(encode(message)))

    def send_bytes(self, data: bytes) -> None:
        """Send *data*, hearing meanwhile."""
        view, deadline = memoryview(data), time.monotonic() + TIMEOUT_S
        while view:
            try:
                view = view[self._socket.send(view) :]
            except BlockingIOError:
                self._wait(selectors.EVENT_READ | selectors.EVENT_WRITE, deadline)

    def until(self, kind: type[Downlink], number: int = 0) -> Downlink:
        """Wait for a message of *kind*, an acknowledgement from *number* on."""
        deadline = time.monotonic() + TIMEOUT_S
        while True:
            while self._heard:
                message = self._heard.pop(0)
                if isinstance(message, kind) and getattr(message, "number", 0) >= number:
                    return message
            self._wait(selectors.EVENT_READ, deadline)

    def _wait(self, events: int, deadline: float) -> None:
        if time.monotonic() > deadline:
            raise TimeoutError(f"the recorder needs more than {TIMEOUT_S:.0f} s")
        self._selector.modify(self._socket, events)
        self._selector.select(1.0)
        try:
            data = self._socket.recv(65_536)
        except BlockingIOError:
            return
        if not data:
            raise ConnectionResetError("the recorder hung up")
        self._heard += [decode_downlink(body) for body in self._unframer.feed(data)]


@contextlib.contextmanager
def new_recorder(path: str) -> Iterator[subprocess.Popen[bytes]]:
    """Start a recorder that listens on *path*, and wait for its end, which comes with that of its client."""
    with subprocess.Popen([sys.executable, "-m", "streamlab_plugin.recorder", "--socket", path]) as recorder:
        try:
            wait_until(lambda: os.path.exists(path), "the recorder's socket")
            yield recorder
            recorder.wait(20)
        finally:
            recorder.kill()
