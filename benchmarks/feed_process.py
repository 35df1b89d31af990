"""Start a recorder, feed it over its socket as a Locust process would, and say what that cost it.

``python -m benchmarks.feed_process SOCKET COUNT`` prints JSON. Everything is encoded beforehand, and the
recorder's start is not counted.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator

import psutil

from benchmarks import traffic
from benchmarks.feed import Feed, new_recorder
from benchmarks.process import cpu_s
from streamlab_plugin.core.record import RawRecord
from streamlab_plugin.link.framing import frame
from streamlab_plugin.link.message import Ack, Frame, encode

FRAME_RECORDS = 512
# The requests' own clock; decides how many rows the rollups have.
PER_SECOND = 10_000
RUN = "00000000-0000-4000-8000-000000000001"
PROCESS = "00000000-0000-4000-8000-000000000002"


def main() -> None:
    """Encode everything, start a recorder, feed it, print."""
    path, count = sys.argv[1], int(sys.argv[2])
    started_at = time.time() - count / PER_SECOND
    data = list(_frames(count, started_at))
    with new_recorder(path) as recorder:
        feed = Feed(path, RUN, PROCESS)
        feed.open("bench", started_at)
        cpu_us, per_second = _record(feed, psutil.Process(recorder.pid), data, count)
    print(json.dumps({"cpu_us": cpu_us, "per_second": per_second}))


def _record(feed: Feed, recorder: psutil.Process, frames: list[bytes], count: int) -> tuple[float, float]:
    """Send everything and return processor time per record in µs and records per second until stored."""
    cpu_before, before = cpu_s(recorder), time.perf_counter()
    for one in frames:
        feed.send_bytes(one)
    feed.until(Ack, len(frames))
    wall_s = time.perf_counter() - before
    feed.finish(len(frames) + 1, count)
    return (cpu_s(recorder) - cpu_before) * 1e6 / count, count / wall_s


def _frames(count: int, started_at: float) -> Iterator[bytes]:
    records = [RawRecord(*record) for record in traffic.records(count, started_at, PER_SECOND)]
    for number, start in enumerate(range(0, count, FRAME_RECORDS), 1):
        chunk = records[start : start + FRAME_RECORDS]
        yield frame(encode(Frame(PROCESS, number, start + len(chunk), {}, 20, chunk[-1].started_at, chunk)))


if __name__ == "__main__":
    main()
