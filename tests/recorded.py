"""Random records with the rollups that belong to them, for the queries that look for single records.

Numbers are given in the order in which exchanges are reported: mostly as they end, a few of them much later.
"""

from __future__ import annotations

import json
import math
from collections import defaultdict
from typing import Any

import numpy as np
from seeded import SERIES, count_on
from sqlalchemy import Connection, insert

from streamlab_plugin.core.record import OUTCOMES
from streamlab_plugin.detect.sketch import Sketch
from streamlab_plugin.store import tables
from streamlab_plugin.store.partition import ensure_partition

BEGAN = 1_760_003_000
RUN = "33333333-dddd-4ddd-8ddd-000000000003"
SECONDS = 900
ERRORS = (
    ("ConnectError", "refused by {ip}"),
    ("HTTPError", "500 Server Error"),
    ("ReadTimeout", "no answer"),
)
FINDINGS = (None, None, None, "slow_http", "slow_http,http_5xx", "http_5xx", "slow_mqtt")


def add_run(conn: Connection, processes: int = 2, *, rate: float = 6.0, seed: int = 1) -> None:
    """Store a finished run with *rate* records per second from each process."""
    rng = np.random.default_rng(seed)
    day = BEGAN // 86400
    ensure_partition(conn, day)
    conn.execute(insert(tables.settings).values(id=1, hash="cafe", body="{}"))
    conn.execute(
        insert(tables.runs).values(
            id=1, run=RUN, name="single records", state="completed", run_day=day, started_at=float(BEGAN),
            stopped_at=float(BEGAN + SECONDS), settings_id=1, key_id="k1", host="", locustfile="f.py",
            expected_workers=processes, versions="{}",
        )
    )  # fmt: skip
    names = ("protocol", "operation", "endpoint", "direction")
    conn.execute(
        insert(tables.series),
        [
            {
                "id": at,
                **dict(zip(names, one[:4], strict=True)),
                "user_class": "Even" if at % 2 == 0 else "Odd",
            }
            for at, one in enumerate(SERIES, 1)
        ],
    )
    conn.execute(
        insert(tables.errors),
        [{"id": at, "error_type": kind, "error_message": text} for at, (kind, text) in enumerate(ERRORS, 1)],
    )
    conn.execute(insert(tables.shapes).values(id=1, schema_hash="5a5a", keys='["a","b"]'))
    for process in range(1, processes + 1):
        rows = _records(rng, day, process, int(rng.poisson(rate * SECONDS)))
        conn.execute(insert(tables.records), rows)
        conn.execute(insert(tables.rollups), _rollups(rows))
        conn.execute(
            insert(tables.processes).values(
                id=process, process=f"{process:08d}-eeee-4eee-8eee-{process:012d}", run_id=1, role="worker",
                pid=process, state="closed", opened_at=float(BEGAN), closed_at=float(BEGAN + SECONDS),
                last_frame=9, produced=len(rows), stored=len(rows), quarantined=0, dropped="{}",
                privacy="{}", users=0,
            )
        )  # fmt: skip
    count_on(conn)


def _records(rng: np.random.Generator, day: int, process: int, count: int) -> list[dict[str, Any]]:
    # Nothing happens in the third and fourth minute.
    began = rng.uniform(BEGAN, BEGAN + SECONDS - 120, count)
    began = np.where(began > BEGAN + 120, began + 120, began)
    latency_ms = rng.lognormal(math.log(40), 1.0, count)
    delay_s = np.where(rng.random(count) < 0.01, rng.uniform(0.5, 90, count), rng.uniform(0, 0.01, count))
    order = np.argsort(began + latency_ms / 1000 + delay_s)
    rows = []
    number = 0
    for at in order:
        number += 1 + int(rng.random() < 0.02)  # a dropped one leaves a gap
        outcome = OUTCOMES[int(rng.choice(4, p=[0.94, 0.04, 0.01, 0.01]))]
        failed = outcome in ("error", "timeout")
        has_payload = rng.random() < 0.3
        rows.append(
            {
                "run_day": day, "process_id": process, "seq": number,
                "series_id": int(rng.integers(1, len(SERIES) + 1)), "started_at": float(began[at]),
                "scheduled_at": None, "latency_ms": None if rng.random() < 0.05 else float(latency_ms[at]),
                "wait_ms": None, "size_bytes": int(rng.integers(0, 900)),
                "shape_id": 1 if has_payload else None,
                "payload": '[1,"x"]' if has_payload else None, "outcome": OUTCOMES.index(outcome),
                "status": 500 if failed else int(rng.choice([200, 201])),
                "error_id": int(rng.integers(1, len(ERRORS) + 1)) if failed else None,
                "correlation_id": None, "stream": None, "stream_seq": None, "fault": None,
                "findings": FINDINGS[int(rng.integers(0, len(FINDINGS)))] if failed else None,
            }
        )  # fmt: skip
    return rows


def _rollups(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    parts: dict[tuple[int, int, int], list[dict[str, Any]]] = defaultdict(list)
    for one in records:
        second = int(one["started_at"] + (one["latency_ms"] or 0.0) / 1000.0)
        for period in (1, 60, 3600):
            parts[period, second - second % period, one["series_id"]].append(one)
    return [_rollup(*key, some) for key, some in parts.items()]


def _rollup(period: int, start: int, series: int, records: list[dict[str, Any]]) -> dict[str, Any]:
    outcomes = [OUTCOMES[one["outcome"]] for one in records]
    timed = [
        one["latency_ms"]
        for one, outcome in zip(records, outcomes, strict=True)
        if outcome != "interrupted" and one["latency_ms"] is not None
    ]
    sketch = Sketch()
    if timed:
        sketch.add(timed)
    return {
        "process_id": records[0]["process_id"], "period_s": period, "start": start, "series_id": series,
        "count": len(records), "errors": outcomes.count("error") + outcomes.count("timeout"),
        "timeouts": outcomes.count("timeout"), "interrupted": outcomes.count("interrupted"),
        "answered": outcomes.count("success"), "latency_count": len(timed), "latency_sum": sum(timed),
        "latency_min": min(timed, default=None), "latency_max": max(timed, default=None),
        "size_sum": sum(one["size_bytes"] for one in records), "sketch": sketch.to_bytes() if timed else None,
    }  # fmt: skip


def payload_of(text: str | None) -> Any:
    """Return a payload as the view gives it, parsed."""
    return None if text is None else json.loads(text)
