"""``python client_of_two_runs.py SOCKET``: the Locust side of the link in two runs, the first unrecorded.

Three requests are put in during the first run, one during the second; a process of its own, since gevent and
the tests' threads do not go together.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import gevent

from streamlab_plugin.core.handover import Handover
from streamlab_plugin.core.record import RawRecord
from streamlab_plugin.link.client import Client
from streamlab_plugin.link.message import OpenProcess, encode_into

WAIT_S = 10.0


def main() -> None:
    """Do it and hang up."""
    handover = Handover(encode_into)
    client = Client(
        Path(sys.argv[1]), "worker", 1, handover, start_recorder=lambda: None, produced=lambda: 0,
        arrivals=dict, users=lambda: 0, on_stop_requested=lambda _run: None,
    )  # fmt: skip
    client.connect()
    client.open_process(OpenProcess("run-1", "unrecorded", "worker", 1, time.time()))
    deadline = time.monotonic() + WAIT_S
    while client._current is not None and time.monotonic() < deadline:
        gevent.sleep(0.01)
    for seq in (1, 2, 3):
        handover.put(record(seq, "/first"))
    client.close_process(3, {}, time.time())
    client.open_process(OpenProcess("run-2", "recorded", "worker", 1, time.time()))
    handover.put(record(1, "/second"))
    client.close_process(1, {}, time.time())
    client.wait_acknowledged(WAIT_S)
    client.close()


def record(seq: int, endpoint: str) -> RawRecord:
    """Return a request as the gate hands it over."""
    return RawRecord(
        seq, "http", "GET", endpoint, "out", "App", time.time(), None, 1.5, None, 10, None, "success", 200,
        None, None, None, None, None, None,
    )  # fmt: skip


if __name__ == "__main__":
    main()
