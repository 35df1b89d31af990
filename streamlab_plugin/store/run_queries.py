"""Runs, their processes, ledgers and verdicts, as the pages and commands read them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from sqlalchemy import Connection, Row, Select, func, select

from streamlab_plugin.core.arrival import Counts
from streamlab_plugin.core.errors import ConfigError, NoVerdictError
from streamlab_plugin.core.ledger import SPOOL_FULL, Ledger, total
from streamlab_plugin.store import tables

RUNNING = "running"
LATEST = "latest"


@dataclass(frozen=True, slots=True)
class Run:
    """One run with its verdict, if it has one; times are epoch seconds.

    ``degradations`` are windows in which a part of the load was missing, each with ``kind``, ``process``,
    ``role``, ``since``, ``until`` and how many ``users`` were missing.
    """

    id: int
    run: str
    name: str
    state: str
    run_day: int
    started_at: float
    stopped_at: float | None
    settings_id: int
    key_id: str
    host: str
    locustfile: str
    expected_workers: int
    versions: Mapping[str, str]
    tags: Mapping[str, str]
    degradations: Sequence[Mapping[str, Any]]
    stop_requested_at: float | None
    verdict: str | None
    exit_code: int | None

    @property
    def is_live(self) -> bool:
        """Whether the test is going on; between test_stop and the verdict it is not."""
        return self.state == RUNNING and self.stopped_at is None

    def duration_s(self, now: float) -> float:
        """Return the seconds from test_start to test_stop, or to *now* while it has not stopped."""
        return max(0.0, (now if self.stopped_at is None else self.stopped_at) - self.started_at)


@dataclass(frozen=True, slots=True)
class Verdict:
    """A stored verdict; ``body`` holds reasons, objectives and ledger."""

    verdict: str
    exit_code: int
    decided_at: float
    body: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Process:
    """One Locust process in one run; ``process`` is its public id.

    ``clock`` is how far the master's clock was ahead of a worker's and the uncertainty of that
    (milliseconds), None where it was not measured.
    """

    id: int
    process: str
    role: str
    pid: int
    state: str
    opened_at: float
    closed_at: float | None
    clock: tuple[float, float] | None
    ledger: Ledger


def find_run(conn: Connection, wanted: str) -> Run:
    """Return the run that *wanted* names: ``latest``, a public id or a prefix that only one run has.

    Raises:
        NoVerdictError: No run has been recorded yet.
        ConfigError: No run, or more than one, begins with *wanted*.
    """
    if wanted == LATEST:
        newest = conn.execute(_newest_first().limit(1)).first()
        if newest is None:
            raise NoVerdictError("no run has been recorded in this database yet")
        return _run(newest)
    prefix = wanted.strip().lower()
    if not prefix:
        raise ConfigError("an empty run id", remedy="give an id, the beginning of one, or 'latest'")
    found = conn.execute(
        _newest_first().where(tables.runs.c.run.startswith(prefix, autoescape=True)).limit(2)
    ).all()
    if not found:
        raise ConfigError(f"no run {wanted!r} in this database", remedy="'streamlab runs list' shows them")
    if len(found) > 1:
        raise ConfigError(f"more than one run begins with {wanted!r}", remedy="give more of the id")
    return _run(found[0])


def list_runs(
    conn: Connection,
    limit: int = 100,
    *,
    state: str | None = None,
    tags: Mapping[str, str] | None = None,
) -> list[Run]:
    """Return the newest *limit* runs, newest first; only those in *state* and with all of *tags* if given."""
    statement = _newest_first()
    if state is not None:
        statement = statement.where(tables.runs.c.state == state)
    if not tags:
        return [_run(row) for row in conn.execute(statement.limit(limit))]
    # Tags are few and short; each database has its own way to look into JSON.
    runs = (_run(row) for row in conn.execute(statement))
    return list(islice((run for run in runs if tags.items() <= run.tags.items()), limit))


def run_processes(conn: Connection, run_id: int) -> list[Process]:
    """Return the run's processes in the order in which they came."""
    process = tables.processes.c
    rows = conn.execute(select(tables.processes).where(process.run_id == run_id).order_by(process.id))
    return [
        Process(
            row.id, row.process, row.role, row.pid, row.state, row.opened_at, row.closed_at,
            None if row.clock is None else tuple(json.loads(row.clock)), _ledger(row),
        )
        for row in rows
    ]  # fmt: skip


def run_arrivals(conn: Connection, run_id: int) -> Counts | None:
    """Return what became of the arrivals over all processes of the run, None if it had no schedule."""
    process = tables.processes.c
    texts = conn.scalars(select(process.arrivals).where(process.run_id == run_id, process.arrivals != "{}"))
    parts = [Counts(**json.loads(text)) for text in texts]
    return Counts(*map(sum, zip(*parts, strict=True))) if parts else None


def quarantine_reasons(conn: Connection, run_id: int) -> dict[str, int]:
    """Return how many of the run's records the database refused, by reason."""
    column = tables.quarantine.c
    rows = conn.execute(
        select(column.reason, func.count())
        .where(column.process_id.in_(process_ids(conn, run_id)))
        .group_by(column.reason)
        .order_by(func.count().desc(), column.reason)
    )
    return {row[0]: row[1] for row in rows}


def runs_by_key(conn: Connection, ids: Sequence[int]) -> dict[int, Run]:
    """Return the runs with these integer keys, by key."""
    if not ids:
        return {}
    rows = conn.execute(_newest_first().where(tables.runs.c.id.in_(ids)))
    return {row.id: _run(row) for row in rows}


def process_ids(conn: Connection, run_id: int) -> list[int]:
    """Return the integer keys of the run's processes."""
    return list(
        conn.scalars(select(tables.processes.c.id).where(tables.processes.c.run_id == run_id).order_by("id"))
    )


def run_ledger(conn: Connection, run_id: int) -> Ledger:
    """Return where every record of the run is, summed over its processes."""
    return run_ledgers(conn, [run_id]).get(run_id, Ledger())


def run_ledgers(conn: Connection, ids: Sequence[int]) -> dict[int, Ledger]:
    """Return the ledgers of several runs, by integer key; a run without a process is left out."""
    process = tables.processes.c
    parts: dict[int, list[Ledger]] = {}
    for row in conn.execute(select(tables.processes).where(process.run_id.in_(ids))):
        parts.setdefault(row.run_id, []).append(_ledger(row))
    return {run_id: total(ledgers) for run_id, ledgers in parts.items()}


def run_verdict(conn: Connection, run_id: int) -> Verdict | None:
    """Return the run's verdict, or None while there is none."""
    row = conn.execute(select(tables.verdicts).where(tables.verdicts.c.run_id == run_id)).first()
    if row is None:
        return None
    return Verdict(row.verdict, row.exit_code, row.decided_at, json.loads(row.body))


def stored_frames(conn: Connection, run_id: int) -> int:
    """Return how many frames of the run are stored; while that stays the same, so do its rollups."""
    last_frame = tables.processes.c.last_frame
    frames = conn.scalar(select(func.sum(last_frame)).where(tables.processes.c.run_id == run_id))
    return int(frames or 0)


def current_users(conn: Connection, run_id: int) -> int:
    """Return the simulated users of the run's open processes; a master only mirrors its workers."""
    process = tables.processes.c
    users = conn.scalar(
        select(func.sum(process.users)).where(
            process.run_id == run_id, process.state == "open", process.role != "master"
        )
    )
    return int(users or 0)


def _ledger(process: Row[Any]) -> Ledger:
    dropped: dict[str, int] = json.loads(process.dropped or "{}")
    if process.evicted:
        dropped[SPOOL_FULL] = dropped.get(SPOOL_FULL, 0) + process.evicted
    unsettled = process.produced - process.stored - process.quarantined - sum(dropped.values())
    # Once a process is closed or lost nothing is on its way: a gap then shows as an unbalanced ledger.
    pending = max(0, unsettled) if process.state == "open" else 0
    return Ledger(
        produced=process.produced,
        stored=process.stored,
        pending=pending,
        quarantined=process.quarantined,
        dropped=dropped,
        erased=process.erased,
    )


def _newest_first() -> Select[Any]:
    verdicts = tables.verdicts
    return (
        select(tables.runs, verdicts.c.verdict, verdicts.c.exit_code)
        .select_from(tables.runs.outerjoin(verdicts, verdicts.c.run_id == tables.runs.c.id))
        .order_by(tables.runs.c.started_at.desc(), tables.runs.c.id.desc())
    )


def _run(row: Row[Any]) -> Run:
    return Run(
        id=row.id,
        run=row.run,
        name=row.name,
        state=row.state,
        run_day=row.run_day,
        started_at=row.started_at,
        stopped_at=row.stopped_at,
        settings_id=row.settings_id,
        key_id=row.key_id,
        host=row.host,
        locustfile=row.locustfile,
        expected_workers=row.expected_workers,
        versions=json.loads(row.versions or "{}"),
        tags=json.loads(row.tags),
        degradations=json.loads(row.degradations),
        stop_requested_at=row.stop_requested_at,
        verdict=row.verdict,
        exit_code=row.exit_code,
    )
