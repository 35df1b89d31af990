"""Anomalies as the pages and commands read them: signatures, where they occurred, what to try."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, case, func, select

from streamlab_plugin.knowledge.signature import SEVERITIES
from streamlab_plugin.store import tables
from streamlab_plugin.store.run_queries import process_ids

WORST_FIRST = SEVERITIES[::-1]
BUCKET_S = 10
MOST_POINTS = 600


@dataclass(frozen=True, slots=True)
class Fix:
    """One suggestion: *steps* in order, *confidence* 0..1 that it helps, *priority* highest first."""

    fix_type: str
    title: str
    steps: Sequence[str]
    risk: str
    confidence: float
    priority: float
    status: str


@dataclass(frozen=True, slots=True)
class Signature:
    """A kind of anomaly; ``count``, ``first_seen`` and ``last_seen`` cover the runs that were asked for."""

    id: int
    fingerprint: str
    anomaly_type: str
    protocol: str
    endpoint: str
    error_class: str
    rule: str
    description: str
    severity: str
    status: str
    first_seen: float
    last_seen: float
    count: int
    last_run_id: int


@dataclass(frozen=True, slots=True)
class SignatureFilter:
    """Which signatures are wanted; None means any. ``run_id`` also limits counts and times to that run."""

    severity: str | None = None
    status: str | None = None
    anomaly_type: str | None = None
    run_id: int | None = None


@dataclass(frozen=True, slots=True)
class Sighting:
    """How often, and between which times, a signature occurred in one run."""

    run_id: int
    count: int
    first_seen: float
    last_seen: float


@dataclass(frozen=True, slots=True)
class Exemplar:
    """One record that showed the anomaly: ``fields`` as stored (seq, at, latency_ms, status, …)."""

    process: str
    message: str
    fields: Mapping[str, Any]


def list_signatures(
    conn: Connection, wanted: SignatureFilter | None = None, *, limit: int = 100, newest_first: bool = False
) -> list[Signature]:
    """Return at most *limit* signatures, the worst and most recent first, or simply the newest first."""
    wanted = wanted or SignatureFilter()
    statement, first_seen, last_seen = _signatures(conn, wanted.run_id)
    column = tables.signatures.c
    for name in ("severity", "status", "anomaly_type"):
        if (value := getattr(wanted, name)) is not None:
            statement = statement.where(column[name] == value)
    ranks = {name: at for at, name in enumerate(WORST_FIRST)}
    rank = case(ranks, value=column.severity, else_=len(ranks))
    order = (first_seen.desc(),) if newest_first else (rank, last_seen.desc())
    return [_signature(row) for row in conn.execute(statement.order_by(*order, column.id).limit(limit))]


def find_signature(conn: Connection, signature_id: int) -> Signature | None:
    """Return one signature over all runs, or None."""
    row = conn.execute(select(tables.signatures).where(tables.signatures.c.id == signature_id)).first()
    return None if row is None else _signature(row)


def anomaly_types(conn: Connection) -> list[str]:
    """Return the anomaly types that have been seen, in alphabetical order."""
    column = tables.signatures.c.anomaly_type
    return list(conn.scalars(select(column).distinct().order_by(column)))


def fixes_of(conn: Connection, signature_ids: Sequence[int]) -> dict[int, list[Fix]]:
    """Return the suggestions of several signatures, highest priority first."""
    column = tables.fixes.c
    found: dict[int, list[Fix]] = {}
    rows = conn.execute(
        select(tables.fixes)
        .where(column.signature_id.in_(signature_ids))
        .order_by(column.priority.desc(), column.confidence.desc(), column.id)
    )
    for row in rows:
        found.setdefault(row.signature_id, []).append(
            Fix(
                row.fix_type,
                row.title,
                tuple(json.loads(row.steps)),
                row.risk,
                row.confidence,
                row.priority,
                row.status,
            )
        )
    return found


def sightings(conn: Connection, fingerprint: str) -> list[Sighting]:
    """Return the runs in which a signature occurred, the most recent first."""
    # Written as a look-up by process, because a join tempts the planner to read every occurrence.
    seen, process = tables.occurrences.c, tables.processes.c
    by_process = (
        select(
            seen.process_id,
            func.sum(seen["count"]).label("occurred"),
            func.min(seen.first_at).label("first_seen"),
            func.max(seen.last_at).label("last_seen"),
        )
        .where(seen.process_id.in_(select(process.id)), seen.fingerprint == fingerprint)
        .group_by(seen.process_id)
        .subquery()
    )
    last_seen = func.max(by_process.c.last_seen).label("last_seen")
    rows = conn.execute(
        select(
            process.run_id,
            func.sum(by_process.c.occurred).label("occurred"),
            func.min(by_process.c.first_seen).label("first_seen"),
            last_seen,
        )
        .join_from(by_process, tables.processes, process.id == by_process.c.process_id)
        .group_by(process.run_id)
        .order_by(last_seen.desc())
    )
    return [Sighting(row.run_id, int(row.occurred), row.first_seen, row.last_seen) for row in rows]


def occurrence_timeline(conn: Connection, run_id: int, fingerprint: str) -> tuple[int, dict[int, int]]:
    """Return (bucket width in seconds, bucket start → count) of a signature in one run.

    Buckets are 10 s wide, or a multiple if there would be more than `MOST_POINTS`.
    """
    seen = tables.occurrences.c
    rows = conn.execute(
        select(seen.start, func.sum(seen["count"]).label("occurred"))
        .where(seen.process_id.in_(process_ids(conn, run_id)), seen.fingerprint == fingerprint)
        .group_by(seen.start)
        .order_by(seen.start)
    ).all()
    if not rows:
        return BUCKET_S, {}
    buckets = (rows[-1].start - rows[0].start) // BUCKET_S + 1
    width = BUCKET_S * -(-buckets // MOST_POINTS)
    counts: dict[int, int] = {}
    for row in rows:
        start = row.start - row.start % width
        counts[start] = counts.get(start, 0) + int(row.occurred)
    return width, counts


def exemplars_of(conn: Connection, run_id: int, fingerprint: str, limit: int = 30) -> list[Exemplar]:
    """Return the newest examples of a signature in one run."""
    seen, process = tables.occurrences.c, tables.processes.c
    rows = conn.execute(
        select(process.process, seen.message, seen.last_at, seen.exemplars)
        .join_from(tables.processes, tables.occurrences, seen.process_id == process.id)
        .where(process.run_id == run_id, seen.fingerprint == fingerprint)
        .order_by(seen.start.desc())
        .limit(limit)
    )
    found: list[Exemplar] = []
    for row in rows:
        # What a window rule saw is no single record: its message and time stand for it.
        for fields in json.loads(row.exemplars) or [{}]:
            found.append(Exemplar(row.process, row.message, {"at": row.last_at, **fields}))
    return sorted(found, key=lambda exemplar: -float(exemplar.fields["at"]))[:limit]


def _signatures(conn: Connection, run_id: int | None) -> tuple[Select[Any], Any, Any]:
    """Return the statement and its columns for first and last seen, over all runs or in one."""
    signatures = tables.signatures
    if run_id is None:
        return select(signatures), signatures.c.first_seen, signatures.c.last_seen
    seen = tables.occurrences.c
    inside = (
        select(
            seen.fingerprint,
            func.sum(seen["count"]).label("occurred"),
            func.min(seen.first_at).label("first_seen"),
            func.max(seen.last_at).label("last_seen"),
        )
        .where(seen.process_id.in_(process_ids(conn, run_id)))
        .group_by(seen.fingerprint)
        .subquery()
    )
    replaced = {"count", "first_seen", "last_seen"}
    columns: list[ColumnElement[Any]] = [column for column in signatures.c if column.name not in replaced]
    statement = select(
        *columns, inside.c.occurred.label("count"), inside.c.first_seen, inside.c.last_seen
    ).join_from(signatures, inside, inside.c.fingerprint == signatures.c.fingerprint)
    return statement, inside.c.first_seen, inside.c.last_seen


def _signature(row: Row[Any]) -> Signature:
    values = row._mapping
    fields = {name: values[name] for name in Signature.__dataclass_fields__}
    # PostgreSQL adds up its 64-bit integers to a decimal.
    return Signature(**{**fields, "count": int(fields["count"])})
