"""What a fault test finds in the database, read through SQLAlchemy from either engine."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fault_log import TargetLog
from sqlalchemy import Connection, func, select

from streamlab_plugin.core.errors import StreamlabError
from streamlab_plugin.core.ledger import Ledger
from streamlab_plugin.core.record import OUTCOMES
from streamlab_plugin.privacy.pseudonym import Pseudonyms, load_key
from streamlab_plugin.store import queries, tables
from streamlab_plugin.store.engine import open_store
from streamlab_plugin.store.failure import DATABASE_ERRORS
from streamlab_plugin.store.url import database_path, is_sqlite

INTERRUPTED = OUTCOMES.index("interrupted")


@dataclass(frozen=True)
class Process:
    """A row of ``processes`` and the numbers of its records."""

    pid: int
    role: str
    state: str
    closed_at: float | None
    produced: int
    stored: int
    quarantined: int
    evicted: int
    dropped: dict[str, int]
    rows: int
    first: int | None
    last: int | None

    @property
    def has_gap(self) -> bool:
        """Whether the stored numbers are not 1..N; the key of the table rules duplicates out."""
        return self.rows > 0 and (self.first, self.last) != (1, self.rows)

    @property
    def missing(self) -> int:
        """Records of which nobody knows where they went."""
        return self.produced - self.rows - self.quarantined - self.evicted - sum(self.dropped.values())


@dataclass(frozen=True)
class Stored:
    """One run as the database has it; rows of requests are counted by the pseudonym of their id."""

    state: str
    stopped_at: float | None
    degradations: list[dict[str, Any]]
    processes: list[Process]
    requests: Counter[str]
    interrupted: frozenset[str]
    rolled_up: int
    decided_at: float | None
    verdict: str | None
    ledger: Ledger
    pseudonyms: Pseudonyms

    def lost(self, seen: TargetLog) -> dict[str, float]:
        """Return what the target saw and nobody stored."""
        pseudonym = self.pseudonyms.of
        return {name: at for name, at in seen.moments.items() if not self.requests[pseudonym(name)]}

    def twice(self) -> int:
        """Return how many ids have more than one row."""
        return sum(count > 1 for count in self.requests.values())

    def ghosts(self, seen: TargetLog) -> int:
        """Return how many rows there are of requests that the target did not see and that were answered."""
        known = {self.pseudonyms.of(name) for name in seen.moments}
        return sum(name not in known and name not in self.interrupted for name in self.requests)

    def missing(self) -> int:
        """Return how many records the ledgers of all processes cannot account for."""
        return sum(abs(one.missing) for one in self.processes)

    def dropped(self) -> Counter[str]:
        """Return what was dropped, by reason."""
        return Counter(
            {**sum((Counter(one.dropped) for one in self.processes), Counter()), **self._evicted()}
        )

    def _evicted(self) -> dict[str, int]:
        count = sum(one.evicted for one in self.processes)
        return {"spool_full": count} if count else {}


def read_stored(url: str, key_file: Path) -> Stored:
    """Read the only run of a database."""
    with open_store(url, read_only=True).connect() as connection:
        runs = tables.runs.c
        run = connection.execute(select(runs.id, runs.state, runs.stopped_at, runs.degradations)).one()
        verdict = connection.execute(
            select(tables.verdicts.c.decided_at, tables.verdicts.c.verdict)
        ).one_or_none()
        requests, interrupted = _requests(connection)
        rolled_up = connection.scalar(
            select(func.coalesce(func.sum(tables.rollups.c.count), 0)).where(tables.rollups.c.period_s == 1)
        )
        return Stored(
            run.state, run.stopped_at, json.loads(run.degradations), _processes(connection), requests,
            interrupted, int(rolled_up or 0), verdict and verdict.decided_at, verdict and verdict.verdict,
            queries.run_ledger(connection, run.id), Pseudonyms(load_key(key_file)),
        )  # fmt: skip


def stored_so_far(url: str) -> int:
    """Return how many records are in the database now; 0 while it cannot be read."""
    try:
        with open_store(url, read_only=True, patience_s=2.0).connect() as connection:
            return int(connection.scalar(select(func.sum(tables.processes.c.stored))) or 0)
    except (*DATABASE_ERRORS, StreamlabError):
        return 0


def _requests(connection: Connection) -> tuple[Counter[str], frozenset[str]]:
    records, series = tables.records.c, tables.series.c
    query = (
        select(records.correlation_id, records.outcome)
        .join_from(tables.records, tables.series, records.series_id == series.id)
        .where(series.operation == "request")
    )
    rows = connection.execute(query).all()
    interrupted = frozenset(name for name, outcome in rows if outcome == INTERRUPTED)
    return Counter(name for name, _outcome in rows), interrupted


def _processes(connection: Connection) -> list[Process]:
    processes, records = tables.processes.c, tables.records.c
    counted = {
        ident: (rows, first, last)
        for ident, rows, first, last in connection.execute(
            select(records.process_id, func.count(), func.min(records.seq), func.max(records.seq)).group_by(
                records.process_id
            )
        )
    }
    return [
        Process(
            row.pid, row.role, row.state, row.closed_at, row.produced, row.stored, row.quarantined,
            row.evicted, json.loads(row.dropped), *counted.get(row.id, (0, None, None)),
        )
        for row in connection.execute(select(tables.processes).order_by(processes.id))
    ]  # fmt: skip


def integrity(url: str) -> str:
    """Return what SQLite's own check says, ``ok`` where there is nothing to say; so for PostgreSQL always."""
    if not is_sqlite(url):
        return "ok"
    with closing(sqlite3.connect(f"file:{database_path(url)}?mode=ro", uri=True)) as connection:
        return str(connection.execute("PRAGMA integrity_check").fetchone()[0])


def pids(processes: Iterable[Process]) -> list[int]:
    """Return the process ids of those that make load."""
    return [one.pid for one in processes if one.role != "master"]
