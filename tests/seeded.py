"""A database as two real runs would leave it, on either engine: one finished and breached, one still running.

Everything that a test may want to compare with is kept in `Seeded`: the latencies behind every sketch, the
counts behind every rollup.
"""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from sqlalchemy import Connection, Engine, Table, insert, text

from streamlab_plugin.detect.sketch import Sketch
from streamlab_plugin.store import tables, upsert
from streamlab_plugin.store.engine import open_store
from streamlab_plugin.store.migrate import migrate

NOW = 1_760_000_000.0
LENGTH_S = 600
FINISHED = "11111111-aaaa-4aaa-8aaa-000000000001"
RUNNING = "22222222-bbbb-4bbb-8bbb-000000000002"
HOSTILE = "/<script>alert(1)</script>\"'><img src=x onerror=alert(2)>"

# protocol, operation, endpoint, direction, median latency in ms (None: has none), requests per second
SERIES: tuple[tuple[str, str, str, str, float | None, int], ...] = (
    ("websocket", "connect", "/ws/mobile/sync/", "out", 400.0, 1),
    ("websocket", "request", "/ws/mobile/sync/", "out", 24.0, 9),
    ("websocket", "push", "/ws/mobile/sync/", "in", None, 4),
    ("mqtt", "publish", "devices/{id}/telemetry", "out", 8.0, 8),
    ("mqtt", "deliver", "devices/{id}/telemetry", "in", 35.0, 8),
    ("http", "GET", "/api/items/{id}", "out", 60.0, 6),
    ("http", "POST", HOSTILE, "out", 140.0, 2),
)


@dataclass(slots=True)
class Expected:
    """What one protocol of one run sums up to."""

    count: int = 0
    errors: int = 0
    interrupted: int = 0
    answered: int = 0
    latencies_ms: list[float] = field(default_factory=list)


@dataclass(slots=True)
class Seeded:
    """The database, and what is in it by run (public id) and protocol."""

    url: str
    expected: dict[str, dict[str, Expected]] = field(default_factory=dict)

    def engine(self) -> Engine:
        """Open the database for writing."""
        return open_store(self.url, read_only=False)


def seed(url: str, now: float = NOW) -> Seeded:
    """Fill the database at *url*; *now* is the moment at which the second run is still going on."""
    seeded = Seeded(url)
    engine = seeded.engine()
    migrate(engine)
    with engine.begin() as conn:
        conn.execute(insert(tables.settings).values(id=1, hash="cafe", body="{}"))
        conn.execute(
            insert(tables.series),
            [
                {
                    "id": at,
                    "protocol": one[0],
                    "operation": one[1],
                    "endpoint": one[2],
                    "direction": one[3],
                    "user_class": "U",
                }
                for at, one in enumerate(SERIES, 1)
            ],
        )
        _add_run(conn, 1, FINISHED, now - 7200, now - 7200 + LENGTH_S)
        _add_run(conn, 2, RUNNING, now - LENGTH_S, None)
        _add_process(conn, 1, 1, "standalone", now - 7200, is_open=False)
        _add_process(conn, 2, 2, "master", now - LENGTH_S, is_open=True)
        _add_process(conn, 3, 2, "worker", now - LENGTH_S, is_open=True)
        _add_process(conn, 4, 2, "worker", now - LENGTH_S, is_open=True)
        # The master mirrors its workers' users.
        mirrored = [
            {"process_id": 2, "start": second, "users": 40} for second in range(int(now) - LENGTH_S, int(now))
        ]
        conn.execute(insert(tables.gauges), mirrored)
        seeded.expected[FINISHED] = add_traffic(conn, [1], int(now - 7200), LENGTH_S)
        seeded.expected[RUNNING] = add_traffic(conn, [3, 4], int(now - LENGTH_S), LENGTH_S)
        _add_anomalies(conn, now)
        conn.execute(insert(tables.verdicts).values(run_id=1, **verdict(now)))
        count_on(conn)
    return seeded


def replace(conn: Connection, table: Table, rows: Sequence[dict[str, Any]]) -> None:
    """Insert *rows*; one that is there already is overwritten."""
    statement = upsert.insert(conn, table)
    keys = [column.name for column in table.primary_key]
    fresh = {name: statement.excluded[name] for name in rows[0] if name not in keys}
    conn.execute(statement.on_conflict_do_update(index_elements=keys, set_=fresh), rows)


def count_on(conn: Connection) -> None:
    """Let the numbers that PostgreSQL gives follow those that were inserted."""
    if conn.dialect.name != "postgresql":
        return
    for table in tables.metadata.sorted_tables:
        if table.c.keys()[0] == "id":
            name = table.name
            conn.execute(
                text(
                    f"SELECT setval(pg_get_serial_sequence('{name}', 'id'),"
                    f" (SELECT coalesce(max(id), 0) + 1 FROM {name}), false)"
                )
            )


def add_traffic(conn: Connection, processes: Sequence[int], begin: int, seconds: int) -> dict[str, Expected]:
    """Store rollups of all periods and gauges for *seconds* from *begin*; return what they sum up to."""
    expected: dict[str, Expected] = defaultdict(Expected)
    rows = []
    for process in processes:
        rng = np.random.default_rng(process)
        for series_id, (protocol, operation, _name, _way, median_ms, rate) in enumerate(SERIES, 1):
            parts: dict[tuple[int, int], list[_Second]] = defaultdict(list)
            for second in range(begin, begin + seconds):
                part = _second(rng, second - begin, protocol, median_ms, rate)
                for period in (1, 60, 3600):
                    parts[period, second - second % period].append(part)
                _sum_up(expected[protocol], part, is_exchange=operation not in ("connect", "push"))
            rows += [_rollup(process, series_id, *at, some) for at, some in parts.items()]
        gauges = [
            {"process_id": process, "start": second, "users": min(20, 1 + (second - begin) // 5)}
            for second in range(begin, begin + seconds)
        ]
        replace(conn, tables.gauges, gauges)
    replace(conn, tables.rollups, rows)
    return dict(expected)


def verdict(now: float = NOW) -> dict[str, Any]:
    """Return the stored verdict of the finished run: columns of the table but run_id."""
    body = {
        "kind": "breached",
        "exit_code": 1,
        "reasons": ["http: p95 latency 612.4 ms > 300 ms"],
        "objectives": [
            _objective("websocket", "max_p95_latency_ms", 41.2, 100.0, "met"),
            _objective("http", "max_p95_latency_ms", 612.4, 300.0, "breached"),
            _objective("http", "max_error_rate", 0.004, 0.005, "met"),
            _objective("mqtt", "min_throughput_rps", None, 5.0, "not_applicable"),
        ],
        "problems": [],
    }
    return {"verdict": "breached", "exit_code": 1, "decided_at": now - 6590, "body": json.dumps(body)}


@dataclass(frozen=True, slots=True)
class _Second:
    count: int
    errors: int
    interrupted: int
    latencies_ms: Any


def _second(rng: np.random.Generator, at: int, protocol: str, median_ms: float | None, rate: int) -> _Second:
    count = int(rng.poisson(rate))
    # A latency spike in the sixth minute and a burst of errors in the eighth, both on HTTP.
    spike = 4.0 if protocol == "http" and 300 <= at < 360 else 1.0
    share = 0.2 if protocol == "http" and 420 <= at < 450 else 0.004
    errors = int(rng.binomial(count, share))
    interrupted = 1 if at == LENGTH_S - 1 and count > errors else 0
    size = count - interrupted if median_ms is not None else 0
    wave = 1.0 + 0.2 * math.sin(at / 40)
    return _Second(
        count, errors, interrupted, rng.lognormal(math.log((median_ms or 1.0) * spike * wave), 0.45, size)
    )


def _sum_up(expected: Expected, part: _Second, *, is_exchange: bool) -> None:
    expected.count += part.count
    expected.errors += part.errors
    expected.interrupted += part.interrupted
    expected.answered += part.count - part.errors - part.interrupted
    if is_exchange:
        expected.latencies_ms.extend(float(value) for value in part.latencies_ms)


def _rollup(process: int, series_id: int, period: int, start: int, parts: list[_Second]) -> dict[str, Any]:
    values = np.concatenate([part.latencies_ms for part in parts])
    sketch = Sketch()
    sketch.add(values)
    count = sum(part.count for part in parts)
    errors = sum(part.errors for part in parts)
    interrupted = sum(part.interrupted for part in parts)
    return {
        "process_id": process, "period_s": period, "start": start, "series_id": series_id,
        "count": count, "errors": errors, "timeouts": errors // 3, "interrupted": interrupted,
        "answered": count - errors - interrupted, "latency_count": len(values),
        "latency_sum": float(values.sum()),
        "latency_min": float(values.min()) if len(values) else None,
        "latency_max": float(values.max()) if len(values) else None,
        "size_sum": count * 250, "sketch": sketch.to_bytes() if len(values) else None,
    }  # fmt: skip


def _objective(protocol: str, name: str, value: float | None, limit: float, state: str) -> dict[str, Any]:
    return {"protocol": protocol, "name": name, "value": value, "limit": limit, "state": state}


def _add_run(conn: Connection, key: int, public: str, started_at: float, stopped_at: float | None) -> None:
    conn.execute(
        insert(tables.runs).values(
            id=key, run=public, name="mobile sync", state="running" if stopped_at is None else "completed",
            run_day=int(started_at // 86400), started_at=started_at, stopped_at=stopped_at, settings_id=1,
            key_id="k1", host="http://target.test:8000", locustfile="locustfiles/mixed.py",
            expected_workers=0 if stopped_at else 2, versions='{"streamlab": "0.1.0", "locust": "2.47.0"}',
        )
    )  # fmt: skip


def _add_process(conn: Connection, key: int, run_id: int, role: str, at: float, *, is_open: bool) -> None:
    produced = 0 if role == "master" else 22_800
    conn.execute(
        insert(tables.processes).values(
            id=key, process=f"{key:08d}-cccc-4ccc-8ccc-00000000000{key}", run_id=run_id, role=role,
            pid=1000 + key, state="open" if is_open else "closed", opened_at=at,
            closed_at=None if is_open else at + LENGTH_S, last_frame=600, produced=produced,
            stored=max(0, produced - (17 if is_open else 5)), quarantined=0,
            dropped="{}" if is_open else '{"handover_full": 5}', privacy="{}",
            users=40 if role == "master" else 20,
        )
    )  # fmt: skip


def _add_anomalies(conn: Connection, now: float) -> None:
    kinds = [
        ("slow_http", "http", HOSTILE, "", "slow_http", "HTTP answer slower than 200 ms", "warning"),
        (
            "server_error",
            "http",
            "/api/items/{id}",
            "HTTPError",
            "http_5xx",
            "The server failed (5xx)",
            "error",
        ),
        ("error_rate", "http", "/api/items/{id}", "", "error_rate", "Error rate too high", "critical"),
        ("slow_mqtt", "mqtt", "devices/{id}/telemetry", "", "slow_mqtt", "MQTT delay over 50 ms", "warning"),
        (
            "schema_drift",
            "websocket",
            "/ws/mobile/sync/",
            "",
            "schema_drift",
            "Payload shape changed",
            "info",
        ),
    ]
    for key, (kind, protocol, endpoint, error_class, rule, description, severity) in enumerate(kinds, 1):
        first, last, total = math.inf, 0.0, 0
        for process, begin in ((1, now - 7200), (3, now - LENGTH_S), (4, now - LENGTH_S)):
            if process == 1 and kind == "schema_drift":
                continue
            for at, count in _bursts(key):
                seen_at = begin + at
                first, last, total = min(first, seen_at), max(last, seen_at + 8), total + count
                exemplar = {
                    "seq": 100 * key + at, "at": seen_at, "latency_ms": 212.5 + at, "status": 500 + key % 4,
                    "outcome": "error", "error": "boom <b>bold</b>", "correlation_id": None,
                }  # fmt: skip
                conn.execute(
                    insert(tables.occurrences).values(
                        process_id=process, fingerprint=f"f{key:015d}", start=int(seen_at) // 10 * 10,
                        count=count, first_at=seen_at, last_at=seen_at + 8, rule=rule, anomaly_type=kind,
                        severity=severity, protocol=protocol, endpoint=endpoint, error_class=error_class,
                        message="latency_ms 312.5 > 200",
                        exemplars=json.dumps([{}] if kind == "error_rate" else [exemplar]),
                    )
                )  # fmt: skip
        first_run = 2 if kind == "schema_drift" else 1
        conn.execute(
            insert(tables.signatures).values(
                id=key, fingerprint=f"f{key:015d}", anomaly_type=kind, protocol=protocol, endpoint=endpoint,
                error_class=error_class, rule=rule, description=description, severity=severity, status="new",
                first_seen=first, last_seen=last, count=total, first_run_id=first_run, last_run_id=2,
            )
        )  # fmt: skip
        _add_fixes(conn, key)


def _bursts(key: int) -> Iterator[tuple[int, int]]:
    for at in range(60 * key, 60 * key + 80, 20):
        yield at, 3 + at // 40


def _add_fixes(conn: Connection, signature: int) -> None:
    for rank, (kind, title, risk) in enumerate(
        (("index", "Add an index for the slow query", "low"), ("caching", "Cache the answer", "medium"))
    ):
        confidence = 0.8 - 0.25 * rank
        conn.execute(
            insert(tables.fixes).values(
                signature_id=signature, fix_type=kind, title=title, risk=risk, confidence=confidence,
                priority=2 * confidence, status="suggested",
                steps=json.dumps(["Look at the slow query log.", "Change one thing.", "Repeat the run."]),
            )
        )  # fmt: skip
