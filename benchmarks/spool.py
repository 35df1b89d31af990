"""Row 8: what a record takes in the spool, where it waits while the database is away."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from benchmarks import past
from benchmarks.figure import Figure
from benchmarks.process import progress
from streamlab_plugin.store.spool import Spool
from streamlab_plugin.store.spool_status import CAPACITY_BYTES, spool_status

RATE = 10_000
LASTS = "1 GB lasts at 10,000/s, s"
# What a recorder keeps at once at that rate.
BATCH_RECORDS = 1_000


def measure(*, is_quick: bool) -> list[Figure]:
    """Keep batches as a recorder would at 10,000 records per second."""
    seconds, rounds = (2, 1) if is_quick else (30, 3)
    run = past.PastRun(past.LONG_RUN, 1_760_000_000, seconds, seconds * RATE)
    content = past.Content()
    size_bytes, cost_us = [], []
    for _round in range(rounds):
        batches = list(past.writes(content, run, past.LONG_RUN, 1, BATCH_RECORDS))
        with tempfile.TemporaryDirectory(prefix="streamlab-bench-") as folder:
            spool = Spool(Path(folder) / "spool")
            before = time.process_time()
            for batch in batches:
                spool.append([batch])
            cost_us.append((time.process_time() - before) * 1e6 / run.records)
            spool.close()
            status = spool_status(spool.path)
        assert status.records == run.records, f"{status.records} of {run.records} records are in the spool"
        size_bytes.append(status.size_bytes / run.records)
        progress(f"row 8, spool: {size_bytes[-1]:.0f} B, {cost_us[-1]:.2f} µs")
    per_record = sorted(size_bytes)[rounds // 2]
    return [
        Figure(
            8, "spool per record with a 12-field payload", "B", tuple(size_bytes),
            details={
                "time per record, µs": sorted(cost_us)[rounds // 2],
                LASTS: CAPACITY_BYTES / per_record / RATE,
            },
        )
    ]  # fmt: skip
