"""Start a recorder, feed it over its socket as a Locust process would, and say what that cost it.

``python -m benchmarks.feed_process SOCKET COUNT`` prints JSON. Everything is encoded beforehand, and the
recorder's start is not counted.
"""

from __future__ import annotations

import json
import os
import selectors
import socket
import subprocess
import sys
import time
from collections.abc import Iterator

import psutil

from benchmarks import traffic
from benchmarks.place import wait_until
from streamlab_plugin import config
from streamlab_plugin.core.record import RawRecord
from streamlab_plugin.link.framing import Unframer, frame
from streamlab_plugin.link.message import (
    LINK_VERSION,
    Ack,
    CloseProcess,
    Downlink,
    Frame,
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

FRAME_RECORDS = 512
# The requests' own clock; decides how many rows the rollups have.
PER_SECOND = 10_000
TIMEOUT_S = 120.0
RUN = "00000000-0000-4000-8000-000000000001"
PROCESS = "00000000-0000-4000-8000-000000000002"


class Feed:
    """A client's connection that can send and hear at once."""

    def __init__(self, path: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.connect(path)
        self._socket.setblocking(False)
        self._unframer = Unframer()
        self._heard: list[Downlink] = []
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._socket, selectors.EVENT_READ)
        self._deadline = time.monotonic() + TIMEOUT_S

    def send(self, message: Uplink) -> None:
        """Send one message."""
        self.send_bytes(frame(encode(message)))

    def send_bytes(self, data: bytes) -> None:
        """Send *data*, hearing meanwhile."""
        view = memoryview(data)
        while view:
            try:
                view = view[self._socket.send(view) :]
            except BlockingIOError:
                self._wait(selectors.EVENT_READ | selectors.EVENT_WRITE)

    def until(self, kind: type[Downlink], number: int = 0) -> Downlink:
        """Wait for a message of *kind*, an acknowledgement from *number* on."""
        while True:
            while self._heard:
                message = self._heard.pop(0)
                if isinstance(message, kind) and getattr(message, "number", 0) >= number:
                    return message
            self._wait(selectors.EVENT_READ)

    def close(self) -> None:
        """Hang up; the recorder then ends."""
        self._selector.close()
        self._socket.close()

    def _wait(self, events: int) -> None:
        if time.monotonic() > self._deadline:
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


def main() -> None:
    """Encode everything, start a recorder, feed it, print."""
    path, count = sys.argv[1], int(sys.argv[2])
    started_at = time.time() - count / PER_SECOND
    data = list(_frames(count, started_at))
    with subprocess.Popen([sys.executable, "-m", "streamlab_plugin.recorder", "--socket", path]) as recorder:
        try:
            wait_until(lambda: os.path.exists(path), "the recorder's socket")
            feed = Feed(path)
            _open(feed, started_at)
            cpu_us, per_second = _record(feed, psutil.Process(recorder.pid), data, count)
            feed.close()
            recorder.wait(20)
        finally:
            recorder.kill()
    print(json.dumps({"cpu_us": cpu_us, "per_second": per_second}))


def _open(feed: Feed, started_at: float) -> None:
    settings = config.load().body()
    feed.send(Hello(LINK_VERSION, os.getpid(), "standalone"))
    feed.until(Welcome)
    feed.send(OpenRun(RUN, "bench", started_at, "ws://127.0.0.1", "bench.py", 0, settings, {}))
    feed.send(OpenProcess(RUN, PROCESS, "standalone", os.getpid(), started_at))
    feed.until(Ack)


def _record(feed: Feed, recorder: psutil.Process, frames: list[bytes], count: int) -> tuple[float, float]:
    """Send everything and return processor time per record in µs and records per second until stored."""
    cpu_before, before = _cpu_s(recorder), time.perf_counter()
    for one in frames:
        feed.send_bytes(one)
    feed.until(Ack, len(frames))
    wall_s = time.perf_counter() - before
    feed.send(CloseProcess(PROCESS, len(frames) + 1, count, {}, time.time()))
    feed.send(StopRun(RUN, time.time(), 0))
    feed.until(VerdictReached)
    return (_cpu_s(recorder) - cpu_before) * 1e6 / count, count / wall_s


def _frames(count: int, started_at: float) -> Iterator[bytes]:
    records = [RawRecord(*record) for record in traffic.records(count, started_at, PER_SECOND)]
    for number, start in enumerate(range(0, count, FRAME_RECORDS), 1):
        chunk = records[start : start + FRAME_RECORDS]
        yield frame(encode(Frame(PROCESS, number, start + len(chunk), {}, 20, chunk[-1].started_at, chunk)))


def _cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system


if __name__ == "__main__":
    main()
