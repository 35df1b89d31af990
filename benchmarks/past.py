"""A database with a past: many short runs and a long one, stored by the product's own writer.

Everything lies within the two weeks that records are kept: nothing is removed while it is being read.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import msgspec
import numpy as np

from benchmarks import traffic
from streamlab_plugin import config
from streamlab_plugin.knowledge.signature import SEVERITIES
from streamlab_plugin.privacy.plan import Redactor
from streamlab_plugin.privacy.pseudonym import Pseudonyms
from streamlab_plugin.recorder.run import compile_settings
from streamlab_plugin.store import run_writer, signature_writer
from streamlab_plugin.store.batch import Delta, Key, StreamWrite
from streamlab_plugin.store.engine import open_store
from streamlab_plugin.store.finding_queries import OccurrenceCount
from streamlab_plugin.store.migrate import migrate
from streamlab_plugin.store.writer import Writer

DAY_S = 86_400
SPAN_S = 13 * DAY_S
SHORT_S = 360
LONG_S = 30 * 3600
LONG_RUN = "00000000-0000-4000-8000-0000000000ff"
LONG_SHARE = 0.16
# In the long run every third hour is busy: with five million records each series then has one per second,
# and a third of all ranges of 24 hours begin and end in such an hour, where most rows have to be read.
BUSY_HOUR, BUSY_WEIGHT = 3, 20
SIGNATURES = 200
BATCH_RECORDS = 20_000
# Contents of a second that take turns.
VARIETY = 256
_RULES = 10


@dataclass(frozen=True)
class PastRun:
    """A run that is in the database; times are epoch seconds."""

    run: str
    started_at: int
    length_s: int
    records: int


def plan(count: int, short_runs: int, now: float) -> list[PastRun]:
    """Return the runs that hold *count* records together, the long one first."""
    first = int(now) - SPAN_S
    lengthy = int(count * LONG_SHARE)
    short = (count - lengthy) // short_runs
    gap_s = (SPAN_S - LONG_S - DAY_S) // short_runs
    runs = [PastRun(LONG_RUN, first, LONG_S, count - short * short_runs)]
    for number in range(short_runs):
        ident = UUID(int=random.Random(number).getrandbits(128), version=4)
        runs.append(PastRun(str(ident), first + LONG_S + number * gap_s, SHORT_S, short))
    return runs


def fill(url: str, runs: list[PastRun]) -> None:
    """Make the database at *url* and store *runs*."""
    engine = open_store(url, read_only=False, patience_s=60.0)
    migrate(engine)
    writer = Writer(engine)
    content = Content()
    for number, run in enumerate(runs):
        _store(writer, content, run, number)
    writer.close()


class Content:
    """What records and seconds consist of, made once."""

    def __init__(self) -> None:
        self.settings = config.load().body().decode()
        policy = compile_settings(self.settings).policy
        redactor, pseudonyms = Redactor(policy, Pseudonyms(bytes(32))), Pseudonyms(bytes(32))
        self.messages: list[tuple[str, str]] = []
        for correlation_id, payload in traffic.messages(5_000):
            redacted = redactor.redact_json(payload)
            assert redacted is not None
            names, values, schema_hash, _paths = redacted
            self.messages.append((msgspec.json.encode(values).decode(), pseudonyms.of(correlation_id)))
        self.shape = Key("shapes", (schema_hash, json.dumps(names)))
        self.series = [
            Key("series", ("websocket", "request", name, "out", "DeviceUser")) for name in traffic.NAMES
        ]
        self._cells: dict[int, list[tuple[list[float], tuple[Any, ...]]]] = {}

    def cells(self, size: int) -> list[tuple[list[float], tuple[Any, ...]]]:
        """Return `VARIETY` times the latencies of *size* requests and the end of their `Delta`."""
        if size not in self._cells:
            drawn = traffic.latencies_ms(VARIETY * size)
            parts = [drawn[at * size : (at + 1) * size] for at in range(VARIETY)]
            self._cells[size] = [
                (part, (np.asarray(part, dtype=np.float32), sum(part), min(part), max(part)))
                for part in parts
            ]
        return self._cells[size]


def _store(writer: Writer, content: Content, run: PastRun, number: int) -> None:
    process = str(UUID(int=UUID(run.run).int + 1))
    values: dict[str, Any] = {
        "run": run.run, "name": "nightly" if number else "soak", "run_day": run.started_at // DAY_S,
        "started_at": float(run.started_at), "key_id": "bench", "host": "ws://127.0.0.1",
        "locustfile": "bench.py", "expected_workers": 0, "versions": "{}",
    }  # fmt: skip
    run_writer.open_run(writer.connection, values, "bench", content.settings)
    run_writer.open_process(writer.connection, run.run, process, "standalone", 1, float(run.started_at))
    key = run_writer.run_key(writer.connection, run.run)
    assert key is not None
    for write in writes(content, run, process, number):
        writer.write([write])
    stopped_at = float(run.started_at + run.length_s)
    verdict = {
        "verdict": "met", "exit_code": 0, "decided_at": stopped_at,
        "body": json.dumps({"kind": "met", "exit_code": 0, "reasons": [], "objectives": [], "problems": []}),
    }  # fmt: skip
    run_writer.finish_run(writer.connection, key, state="completed", stopped_at=stopped_at, verdict=verdict)
    for which in _seen_in(number):
        _store_signature(writer, which, key, run)


def writes(
    content: Content, run: PastRun, process: str, number: int, batch_records: int = BATCH_RECORDS
) -> Iterator[StreamWrite]:
    """Yield the run in batches; in every second each series that has its turn gets as many records."""
    series = len(content.series)
    # Records of a series in a second in which it has its turn.
    size = 1 if number == 0 else max(1, round(run.records / run.length_s / series))
    run_day, seq, frame, at_second = run.started_at // DAY_S, 0, 0, 0
    cells = content.cells(size)
    turn = 0
    while at_second < run.length_s:
        write = StreamWrite(
            process, run_day, frame, frame + 1, 0, {}, 20, time.time(), keys=[content.shape, *content.series]
        )
        while at_second < run.length_s and len(write.lean) < batch_records:
            second = run.started_at + at_second
            at_second += 1
            due = _due(run, at_second) - seq
            while due > 0:
                count = min(size, due)
                part = cells if count == size else content.cells(count)
                latencies, rest = part[turn % VARIETY]
                key = content.series[turn % series]
                write.deltas.append(Delta(second, key, count, 0, 0, 0, count, count * 300, *rest))
                for latency_ms in latencies:
                    seq += 1
                    text, corr = content.messages[seq % 5_000]
                    write.lean.append(
                        (seq, key, second - latency_ms / 1000, latency_ms, 300, content.shape, text, 0, None,
                         corr)
                    )  # fmt: skip
                turn += 1
                due -= count
            write.gauges.append((second, 20))
        write.occurrences = list(_occurrences(run, number, at_second, len(write.gauges)))
        write.produced, frame = seq, frame + 1
        if at_second >= run.length_s:
            write.closed_at = float(run.started_at + run.length_s)
        yield write


def _due(run: PastRun, second: int) -> int:
    """Return how many of a run's records come in its first seconds."""
    if run.length_s != LONG_S:
        return run.records * second // run.length_s
    weights = [BUSY_WEIGHT if hour % BUSY_HOUR == 0 else 1 for hour in range(LONG_S // 3600)]
    hours, rest = divmod(second, 3600)
    reached = 3600 * sum(weights[:hours]) + rest * sum(weights[hours : hours + 1])
    return run.records * reached // (3600 * sum(weights))


def _seen_in(number: int) -> range:
    """Return which signatures a run shows: the long one all, a short one a tenth."""
    return range(SIGNATURES) if number == 0 else range(number % 10, SIGNATURES, 10)


def _occurrences(run: PastRun, number: int, until: int, seconds: int) -> Iterator[tuple[Any, ...]]:
    """Yield what was found in the *seconds* before *until*: each signature every ten minutes, or two."""
    every_s = 600 if number == 0 else 120
    for second in range(until - seconds, until):
        if second % every_s:
            continue
        start = (run.started_at + second) // 10 * 10
        for which in _seen_in(number):
            signature = _signature(which)
            exemplar = {"seq": 1, "at": float(start), "latency_ms": 212.5, "status": None, "outcome": "error"}
            yield (
                signature["fingerprint"], start, 3, float(start), start + 8.0, signature["rule"],
                signature["anomaly_type"], signature["severity"], "websocket", signature["endpoint"], "",
                "latency_ms 212.5 > 100", json.dumps([exemplar] * 3),
            )  # fmt: skip


def _signature(which: int) -> dict[str, Any]:
    return {
        "fingerprint": f"{which:016x}", "anomaly_type": f"type_{which % _RULES}", "protocol": "websocket",
        "endpoint": traffic.NAMES[which // _RULES % len(traffic.NAMES)], "error_class": "",
        "rule": f"rule_{which % _RULES}", "description": "Answer slower than 100 ms",
        "severity": SEVERITIES[which % len(SEVERITIES)], "status": "new",
    }  # fmt: skip


def _store_signature(writer: Writer, which: int, run_key: int, run: PastRun) -> None:
    seen = {
        "first_seen": float(run.started_at), "last_seen": float(run.started_at + run.length_s),
        "first_run_id": run_key, "last_run_id": run_key,
    }  # fmt: skip
    fixes = [
        {
            "fix_type": "index", "title": "Add an index for the slow query", "risk": "low", "confidence": 0.8,
            "priority": 1.6, "status": "suggested", "steps": ["Look at the slow query log.", "Repeat."],
        }
    ]  # fmt: skip
    signature = _signature(which)
    names = ("fingerprint", "rule", "anomaly_type", "severity", "protocol", "endpoint", "error_class")
    occurrence = OccurrenceCount(
        process_id=0, start=run.started_at, count=9, first_at=seen["first_seen"], last_at=seen["last_seen"],
        message="", counted=0, **{name: signature[name] for name in names},
    )  # fmt: skip
    signature_writer.save_signature(writer.connection, {**signature, **seen}, [occurrence], fixes)
