"""Batches for the writer and the spool, and what a database must hold after them.

Latencies are quarters of a millisecond, so that every sum is exact in whatever order it is made.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from sqlalchemy import select, text

from streamlab_plugin.detect.sketch import Sketch
from streamlab_plugin.store import run_writer, tables
from streamlab_plugin.store.batch import Delta, Key, Numbers, StreamWrite
from streamlab_plugin.store.engine import open_store
from streamlab_plugin.store.writer import Writer

RUN = "run-1"
RUN_DAY = 20_000
BEGIN = RUN_DAY * 86_400 + 43_200
PERIODS_S = (1, 60, 3600)
FULL = (
    "seq", "series", "started_at", "scheduled_at", "latency_ms", "wait_ms", "size_bytes", "shape", "payload",
    "outcome", "status", "error", "correlation_id", "stream", "stream_seq", "fault", "findings",
)  # fmt: skip
LEAN = (
    "seq", "series", "started_at", "latency_ms", "size_bytes", "shape", "payload", "outcome", "status",
    "correlation_id",
)  # fmt: skip


class Keys:
    """Keys as one stream would make them: one object per name."""

    def __init__(self) -> None:
        self._made: dict[tuple[str, ...], Key] = {}

    def series(self, endpoint: str = "/a") -> Key:
        """Return the key of a series."""
        return self._key("series", "http", "GET", endpoint, "out", "App")

    def shape(self, keys: str = '["a"]') -> Key:
        """Return the key of a shape."""
        return self._key("shapes", "cafe", keys)

    def error(self, message: str = "boom") -> Key:
        """Return the key of an error."""
        return self._key("errors", "OSError", message)

    def unstored(self) -> list[Key]:
        """Return the keys that have no integer yet, as a stream does for each batch."""
        return [key for key in self._made.values() if key.id is None]

    def _key(self, *name: Any) -> Key:
        return self._made.setdefault(name, Key(name[0], name[1:]))


def lean(keys: Keys, seq: int, endpoint: str = "/a", at: float = BEGIN, **changes: Any) -> tuple[Any, ...]:
    """Return a lean row."""
    values = {
        "seq": seq, "series": keys.series(endpoint), "started_at": at, "latency_ms": 0.25 * (seq % 40 + 1),
        "size_bytes": 10, "shape": keys.shape(), "payload": "[1]", "outcome": 0, "status": 200,
        "correlation_id": None,
    }  # fmt: skip
    return tuple({**values, **changes}[name] for name in LEAN)


def full(keys: Keys, seq: int, endpoint: str = "/a", at: float = BEGIN, **changes: Any) -> tuple[Any, ...]:
    """Return a row with every column in use: an error with everything that a record may say."""
    values = {
        "seq": seq, "series": keys.series(endpoint), "started_at": at, "scheduled_at": at - 1,
        "latency_ms": 0.25 * (seq % 40 + 1), "wait_ms": 0.5, "size_bytes": 10, "shape": keys.shape(),
        "payload": '["ä"]', "outcome": 1, "status": 500, "error": keys.error(), "correlation_id": "c",
        "stream": "s", "stream_seq": seq, "fault": "f", "findings": "slow",
    }  # fmt: skip
    return tuple({**values, **changes}[name] for name in FULL)


@dataclass
class Feed:
    """One process's stream as the recorder hands it on, batch after batch."""

    process: str = "p-1"
    keys: Keys = field(default_factory=Keys)
    frame: int = 0
    seq: int = 0

    def write(self, rows: Sequence[Any] = (), lean_rows: Sequence[Any] = (), **changes: Any) -> StreamWrite:
        """Return the next batch with these rows and what was counted over them."""
        self.seq = max([self.seq, *(row[0] for row in (*rows, *lean_rows) if row[0] < 2**63)])
        values: dict[str, Any] = {
            "produced": self.seq, "dropped": {}, "users": 3, "seen_at": BEGIN + self.frame,
            "privacy": {"kept": len(rows) + len(lean_rows)}, "deltas": deltas_of(rows, lean_rows),
            "gauges": [(BEGIN + self.frame, 3)], "keys": self.keys.unstored(),
        }  # fmt: skip
        write = StreamWrite(
            process=self.process, run_day=RUN_DAY, previous_frame=self.frame, last_frame=self.frame + 1,
            rows=list(rows), lean=list(lean_rows), **{**values, **changes},
        )  # fmt: skip
        self.frame += 1
        return write

    def batch(self, count: int, at: float | None = None, **changes: Any) -> StreamWrite:
        """Return the next batch with *count* records, every third of them full, and an occurrence."""
        at = BEGIN + self.frame if at is None else at
        numbers = range(self.seq + 1, self.seq + count + 1)
        names = [f"/{number % 2}" for number in numbers]
        rows = [full(self.keys, n, name, at) for n, name in zip(numbers, names, strict=True) if not n % 3]
        lean_rows = [lean(self.keys, n, name, at) for n, name in zip(numbers, names, strict=True) if n % 3]
        changes.setdefault("occurrences", [occurrence(int(at), len(rows))] if rows else [])
        changes.setdefault("numbers", numbers_of(rows))
        return self.write(rows, lean_rows, **changes)


def numbers_of(rows: Sequence[Any]) -> list[Numbers]:
    """Return what a subscriber got: the numbers of *rows*, two of them exchanged and one of them twice."""
    pairs = [(2 * (row[0] // 3), 2 * (row[0] // 3) + 1) for row in rows]
    came = [one for pair in pairs for one in pair[:: -1 if pair[0] % 4 else 1]] + [
        pair[0] for pair in pairs[-1:]
    ]
    return [Numbers("got", "s", "c", row[1], [b for one in came for b in (one, one)]) for row in rows[:1]]


def occurrence(at: int, count: int, message: str = "slow", fingerprint: str = "f1") -> tuple[Any, ...]:
    """Return what a bucket gained; columns of the table after process_id."""
    return (
        fingerprint, at // 10 * 10, count, float(at), at + 0.5, "slow", "slow_http", "warning", "http", "/a",
        "", message, "[]",
    )  # fmt: skip


def deltas_of(rows: Iterable[Any], lean_rows: Iterable[Any]) -> list[Delta]:
    """Return what the records do to the rollups; outcomes 0 and 1 only."""
    parts: dict[tuple[int, Key], list[tuple[float, int, int]]] = defaultdict(list)
    for names, some in ((FULL, rows), (LEAN, lean_rows)):
        for row in some:
            one = dict(zip(names, row, strict=True))
            second = int(one["started_at"] + one["latency_ms"] / 1000)
            parts[second, one["series"]].append((one["latency_ms"], one["outcome"], one["size_bytes"]))
    found = []
    for (second, series), some_of in parts.items():
        latencies = [part[0] for part in some_of]
        errors = sum(part[1] for part in some_of)
        found.append(
            Delta(
                second, series, len(some_of), errors, 0, 0, len(some_of), sum(part[2] for part in some_of),
                np.asarray(latencies, dtype=np.float32), sum(latencies), min(latencies), max(latencies),
            )
        )  # fmt: skip
    return found


def open_streams(url: str, *processes: str, run: str = RUN) -> None:
    """Store a run and its processes, as before every batch."""
    with closing(Writer(open_store(url, read_only=False))) as writer:
        values = {
            "run": run, "name": "test", "run_day": RUN_DAY, "started_at": float(BEGIN), "key_id": "k",
            "host": "http://t", "locustfile": "t.py", "expected_workers": 0, "versions": "{}",
        }  # fmt: skip
        run_writer.open_run(writer.connection, values, "hash", "{}")
        for process in processes:
            run_writer.open_process(writer.connection, run, process, "worker", 1, float(BEGIN))


def opened_writer(url: str, *processes: str) -> Writer:
    """Return a writer on a database that knows the run and the processes."""
    open_streams(url, *processes)
    return Writer(open_store(url, read_only=False))


@dataclass
class Content:
    """What batches left behind, by process; comparable."""

    ledgers: dict[str, dict[str, Any]] = field(default_factory=dict)
    records: list[tuple[Any, ...]] = field(default_factory=list)
    rollups: dict[tuple[Any, ...], tuple[Any, ...]] = field(default_factory=dict)
    occurrences: dict[tuple[Any, ...], tuple[Any, ...]] = field(default_factory=dict)
    gauges: dict[tuple[str, int], int] = field(default_factory=dict)
    tracks: dict[tuple[str, ...], tuple[int, list[int]]] = field(default_factory=dict)


def stored(url: str) -> Content:
    """Return what the database holds; a rollup's last value counts what its sketch has seen."""
    content = Content()
    processes = tables.processes.c
    with open_store(url, read_only=True).connect() as connection:
        for row in connection.execute(select(tables.processes)):
            content.ledgers[row.process] = {
                "last_frame": row.last_frame, "produced": row.produced, "stored": row.stored,
                "quarantined": row.quarantined, "evicted": row.evicted, "erased": row.erased,
                "dropped": json.loads(row.dropped),
                "privacy": json.loads(row.privacy), "users": row.users, "seen_at": row.seen_at,
                "state": row.state,
            }  # fmt: skip
        content.records = [
            tuple(row)
            for row in connection.execute(
                text(
                    "SELECT processes.process, r.seq, s.endpoint, r.started_at, r.scheduled_at, r.latency_ms,"
                    " r.wait_ms, r.size_bytes, shapes.keys, r.payload, r.outcome, r.status,"
                    " errors.error_message, r.correlation_id, r.stream, r.stream_seq, r.fault, r.findings"
                    " FROM records r JOIN processes ON processes.id = r.process_id"
                    " JOIN series s ON s.id = r.series_id LEFT JOIN shapes ON shapes.id = r.shape_id"
                    " LEFT JOIN errors ON errors.id = r.error_id ORDER BY processes.process, r.seq"
                )
            )
        ]
        names = dict(connection.execute(select(processes.id, processes.process)).tuples().all())
        endpoints = dict(
            connection.execute(select(tables.series.c.id, tables.series.c.endpoint)).tuples().all()
        )
        for row in connection.execute(select(tables.rollups)):
            sketched = Sketch.from_bytes(row.sketch).count if row.sketch else 0
            name = (names[row.process_id], row.period_s, row.start, endpoints[row.series_id])
            content.rollups[name] = (*row[4:14], sketched)
        for row in connection.execute(select(tables.occurrences)):
            name = (names[row.process_id], row.fingerprint, row.start)
            content.occurrences[name] = (row.count, row.first_at, row.last_at)
        for row in connection.execute(select(tables.tracks)):
            numbers = [one for first, last in json.loads(row.spans) for one in range(first, last + 1)]
            name = (names[row.process_id], row.role, row.stream, row.subscriber)
            content.tracks[name] = (row.duplicates, numbers)
        for row in connection.execute(select(tables.gauges)):
            content.gauges[names[row.process_id], row.start] = row.users
    return content


def expected(writes: Iterable[StreamWrite]) -> Content:
    """Return what a database must hold after *writes*, each of them once and none of their rows refused."""
    content = Content()
    for write in writes:
        _add_ledger(content, write)
        content.records += [_record(write.process, FULL, row) for row in write.rows]
        content.records += [_record(write.process, LEAN, row) for row in write.lean]
        for delta in write.deltas:
            _add_rollups(content, write.process, delta)
        for row in write.occurrences:
            name = (write.process, row[0], row[1])
            count, first_at, last_at = content.occurrences.get(name, (0, row[3], row[4]))
            content.occurrences[name] = (count + row[2], min(first_at, row[3]), max(last_at, row[4]))
        for one in write.numbers:
            _add_numbers(content, write.process, one)
        content.gauges |= {(write.process, second): users for second, users in write.gauges}
    content.records.sort(key=lambda row: row[:2])
    return content


def _add_numbers(content: Content, process: str, one: Numbers) -> None:
    duplicates, known = content.tracks.get((process, *one[:3]), (0, []))
    came = [n for first, last in zip(*[iter(one.bounds)] * 2, strict=True) for n in range(first, last + 1)]
    numbers = sorted({*known, *came})
    content.tracks[process, *one[:3]] = duplicates + len(known) + len(came) - len(numbers), numbers


def _add_ledger(content: Content, write: StreamWrite) -> None:
    old = content.ledgers.get(write.process, {})
    privacy = dict(old.get("privacy", {}))
    for name, count in write.privacy.items():
        privacy[name] = privacy.get(name, 0) + count
    is_closed = write.closed_at is not None
    content.ledgers[write.process] = {
        "last_frame": write.last_frame, "produced": write.produced,
        "stored": old.get("stored", 0) + write.records + write.erased,
        "quarantined": old.get("quarantined", 0) + write.quarantined,
        "evicted": old.get("evicted", 0) + write.evicted,
        "erased": old.get("erased", 0) + write.erased, "dropped": write.dropped, "privacy": privacy,
        "users": 0 if is_closed else write.users, "seen_at": write.seen_at,
        "state": "closed" if is_closed else "open",
    }  # fmt: skip


def _record(process: str, names: Sequence[str], row: Sequence[Any]) -> tuple[Any, ...]:
    one = dict.fromkeys(FULL) | dict(zip(names, row, strict=True))
    one["series"] = one["series"].values[2]
    one["shape"] = one["shape"] and one["shape"].values[1]
    one["error"] = one["error"] and one["error"].values[1]
    return (process, *(one[name] for name in FULL))


def _add_rollups(content: Content, process: str, delta: Delta) -> None:
    added = len(delta.latencies_ms)
    for period in PERIODS_S:
        name = (process, period, delta.second - delta.second % period, delta.series.values[2])
        old = content.rollups.get(name, (0, 0, 0, 0, 0, 0, 0.0, None, None, 0, 0))
        lows = [one for one in (old[7], delta.latency_min) if one is not None]
        highs = [one for one in (old[8], delta.latency_max) if one is not None]
        content.rollups[name] = (
            old[0] + delta.requests, old[1] + delta.errors, old[2] + delta.timeouts,
            old[3] + delta.interrupted, old[4] + delta.answered, old[5] + added, old[6] + delta.latency_sum,
            min(lows, default=None), max(highs, default=None), old[9] + delta.size_sum, old[10] + added,
        )  # fmt: skip
