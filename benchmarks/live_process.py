"""Start a recorder and feed it at a steady rate until the standard input ends: ingest while others read.

``python -m benchmarks.live_process SOCKET RATE`` prints the run's id once the first records are stored, and
at the end how many records it sent.
"""

from __future__ import annotations

import select
import sys
import time
from itertools import count

from benchmarks import traffic
from benchmarks.feed import Feed, new_recorder
from streamlab_plugin.core.record import RawRecord
from streamlab_plugin.link.message import Ack, Frame

TICK_S = 0.02
MESSAGES = 20_000
RUN = "00000000-0000-4000-8000-0000000000aa"
PROCESS = "00000000-0000-4000-8000-0000000000ab"


def main() -> None:
    """Feed until the standard input ends."""
    path, rate = sys.argv[1], int(sys.argv[2])
    templates = [RawRecord(*one) for one in traffic.records(MESSAGES, 0.0, 1)]
    with new_recorder(path):
        feed = Feed(path, RUN, PROCESS)
        feed.open("live", time.time())
        began, sent = time.monotonic(), 0
        for number in count(1):
            now = time.time()
            due = int((time.monotonic() - began + TICK_S) * rate) - sent
            records = [
                templates[(sent + at) % MESSAGES]._replace(seq=sent + at + 1, started_at=now - 0.05)
                for at in range(due)
            ]
            sent += due
            feed.send(Frame(PROCESS, number, sent, {}, 20, now, records))
            if number == 1:
                feed.until(Ack, 1)
                print(RUN, flush=True)
            pause_s = max(0.0, began + number * TICK_S - time.monotonic())
            if select.select([sys.stdin], [], [], pause_s)[0]:
                feed.finish(number + 1, sent)
                break
    print(sent)


if __name__ == "__main__":
    main()
