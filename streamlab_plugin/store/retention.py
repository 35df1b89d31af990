"""How long each kind of stored history stays, and which rows are too old.

The same conditions count the rows for a dry run and choose them for deletion, so that both say the same. A
run that is still going on keeps everything.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    Table,
    case,
    exists,
    func,
    insert,
    select,
    true,
    update,
)

from streamlab_plugin.core.errors import ConfigError
from streamlab_plugin.store import tables, upsert
from streamlab_plugin.store.run_queries import RUNNING

RECORDS = "records"
OCCURRENCES = "occurrences"
ARCHIVES = "archives"
DAY_S = 86400
_UNITS_AT_ONCE = 100


@dataclass(frozen=True, slots=True)
class Kind:
    """What is fixed about a kind: the default and the bounds of its days, and whether it can be archived."""

    days: int
    longest: int
    archivable: bool = False
    period_s: int | None = None  # of rollups


KINDS: Mapping[str, Kind] = {
    RECORDS: Kind(14, 90, archivable=True),
    OCCURRENCES: Kind(30, 90, archivable=True),
    "rollups_1s": Kind(14, 730, period_s=1),
    "rollups_60s": Kind(90, 730, period_s=60),
    "rollups_3600s": Kind(90, 730, period_s=3600),
    ARCHIVES: Kind(90, 730),
}


@dataclass(frozen=True, slots=True)
class Policy:
    """What holds for one kind; ``last_run_at`` is when a cleanup last went through it."""

    kind: str
    days: int
    archive: bool
    is_default: bool
    last_run_at: float | None

    def cutoff(self, now: float) -> float:
        """Return the time before which something is too old."""
        return now - self.days * DAY_S

    def to_dict(self) -> dict[str, Any]:
        """Return it for JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Part:
    """The rows of one table that are too old.

    ``key`` names the columns that tell the rows of one process apart, ``runs`` is a condition on their run,
    ``rows`` one on themselves.
    """

    table: Table
    key: tuple[str, ...]
    runs: ColumnElement[bool]
    rows: ColumnElement[bool]

    @property
    def same_day(self) -> ColumnElement[bool]:
        """Whether row and run are of one day: it leads the primary key of records and names a partition."""
        column = self.table.c
        return column.run_day == tables.runs.c.run_day if "run_day" in column else true()

    def of(self, unit: Unit) -> list[ColumnElement[bool]]:
        """Return the condition for the unit's rows, too old or not."""
        column = self.table.c
        same_day = [column.run_day == unit.run_day] if "run_day" in column else []
        return [*same_day, column.process_id == unit.id]

    def too_old(self, unit: Unit) -> list[ColumnElement[bool]]:
        """Return the whole condition for a statement on the table alone."""
        # The run is looked at each time: it may have been taken up again.
        run = exists().where(tables.runs.c.id == unit.run_id, self.runs).correlate(None)
        return [*self.of(unit), self.rows, run]


@dataclass(frozen=True, slots=True)
class Unit:
    """What goes together: the rows of one process."""

    id: int
    process: str
    run_id: int
    run_day: int


def policies(connection: Connection) -> dict[str, Policy]:
    """Return what holds for each kind, in the order of `KINDS`."""
    stored = {row.kind: row for row in connection.execute(select(tables.retention))}
    return {kind: _policy(kind, stored.get(kind)) for kind in KINDS}


def check_policy(kind: str, days: int | None, archive: bool | None) -> None:
    """Check a change before it is made.

    Raises:
        ConfigError: there is no such kind, the days are out of bounds, or the kind cannot be archived.
    """
    fixed = KINDS.get(kind)
    if fixed is None:
        raise ConfigError(f"no kind {kind!r} is kept", remedy=f"kinds are {', '.join(KINDS)}")
    if days is None and archive is None:
        raise ConfigError(f"nothing to change for {kind}", remedy="give days, archive or both")
    if days is not None and not 1 <= days <= fixed.longest:
        raise ConfigError(
            f"{kind} cannot be kept for {days} days", remedy=f"choose 1 to {fixed.longest} days"
        )
    if archive and not fixed.archivable:
        archivable = " and ".join(name for name, one in KINDS.items() if one.archivable)
        raise ConfigError(f"{kind} cannot be archived", remedy=f"{archivable} can")


def set_policy(
    connection: Connection, kind: str, days: int | None, archive: bool | None, actor: str
) -> Policy:
    """Change what holds for *kind* and note it in ``audit``, in the caller's transaction.

    None leaves a value as it is. New days of ``archives`` also hold for the files that are there.

    Raises:
        ConfigError: as `check_policy`; or coarse rollups, which totals are read from, would go before finer
            ones.
    """
    check_policy(kind, days, archive)
    fixed, table = KINDS[kind], tables.retention
    known = policies(connection)
    before = known[kind]
    wanted = before.days if days is None else days
    _check_order(kind, wanted, known)
    archived = before.archive if archive is None else archive
    # Only what differs from the default is stored: a later version may have a better default.
    values = {
        "days": None if wanted == fixed.days else wanted,
        "archive": None if archived == fixed.archivable else int(archived),
    }
    statement = upsert.insert(connection, table).values(kind=kind, **values)
    connection.execute(statement.on_conflict_do_update(index_elements=["kind"], set_=values))
    if kind == ARCHIVES:
        made_at = tables.archives.c.made_at
        connection.execute(update(tables.archives).values(expires_at=made_at + wanted * DAY_S))
    after = policies(connection)[kind]
    body = {"before": _terms(before), "after": _terms(after)}
    connection.execute(
        insert(tables.audit).values(
            at=time.time(), actor=actor, action="retention.set", subject=kind, body=json.dumps(body)
        )
    )
    return after


def _check_order(kind: str, days: int, known: Mapping[str, Policy]) -> None:
    period_s = KINDS[kind].period_s
    if period_s is None:
        return
    for other, fixed in KINDS.items():
        if fixed.period_s is None or other == kind:
            continue
        is_finer = fixed.period_s < period_s
        if (known[other].days > days) if is_finer else (known[other].days < days):
            raise ConfigError(
                f"{kind} cannot be kept for {days} days {'while' if is_finer else 'with'} {other} "
                f"{'are' if is_finer else 'only'} kept for {known[other].days}",
                remedy=f"change {other} first",
            )


def last_run_at(connection: Connection) -> float:
    """Return when a cleanup last came to its end (0: never), in a transaction of its own."""
    with connection.begin():
        return float(connection.scalar(select(func.max(tables.retention.c.last_run_at))) or 0.0)


def parts(policy: Policy, now: float) -> list[Part]:
    """Return which rows the policy sends away; where they can be archived, the first part is what is."""
    cutoff = policy.cutoff(now)
    over = tables.runs.c.state != RUNNING
    if policy.kind == RECORDS:
        ended = _is_over_since(cutoff)
        return [
            Part(tables.records, ("seq",), ended, true()),
            Part(tables.quarantine, ("seq",), ended, true()),
            Part(tables.tracks, ("role", "stream", "subscriber"), ended, true()),
        ]
    if policy.kind == OCCURRENCES:
        resolved = select(tables.signatures.c.fingerprint).where(tables.signatures.c.status == "resolved")
        column = tables.occurrences.c
        rows = (column.last_at < cutoff) & column.fingerprint.in_(resolved)
        return [Part(tables.occurrences, ("fingerprint", "start"), over, rows)]
    period_s = KINDS[policy.kind].period_s
    if period_s is None:
        return []
    # An integer, so that the index on start serves.
    first_kept = math.ceil(cutoff - period_s)
    rollup = tables.rollups.c
    rollups = Part(
        tables.rollups,
        ("start", "series_id"),
        over,
        (rollup.period_s == period_s) & (rollup.start < first_kept),
    )
    if period_s > 1:
        return [rollups]
    return [rollups, Part(tables.gauges, ("start",), over, tables.gauges.c.start < first_kept)]


def due(connection: Connection, now: float) -> dict[str, int]:
    """Return how many rows of each kind (for archives: files) a cleanup at *now* would delete."""
    counts = {}
    for kind, policy in policies(connection).items():
        counts[kind] = sum(int(connection.scalar(_count(part)) or 0) for part in parts(policy, now))
    expired = select(func.count()).where(tables.archives.c.expires_at < now)
    counts[ARCHIVES] = int(connection.scalar(expired) or 0)
    return counts


def units_page(connection: Connection, part: Part, after: int) -> tuple[list[Unit], int | None]:
    """Return some processes with rows that are too old, and the key behind which the next ones are."""
    process, run = tables.processes.c, tables.runs.c
    found = exists().where(part.table.c.process_id == process.id, part.same_day, part.rows)
    page = connection.execute(
        select(process.id, process.process, process.run_id, run.run_day, found.label("has_rows"))
        .join_from(tables.processes, tables.runs, run.id == process.run_id)
        .where(part.runs, process.id > after)
        .order_by(process.id)
        .limit(_UNITS_AT_ONCE)
    ).all()
    units = [Unit(*row[:4]) for row in page if row.has_rows]
    return units, (page[-1].id if len(page) == _UNITS_AT_ONCE else None)


def find_unit(connection: Connection, process: str) -> Unit | None:
    """Return the unit of a process's public id."""
    column, run = tables.processes.c, tables.runs.c
    row = connection.execute(
        select(column.id, column.process, column.run_id, run.run_day)
        .join_from(tables.processes, tables.runs, run.id == column.run_id)
        .where(column.process == process)
    ).one_or_none()
    return None if row is None else Unit(*row)


def _count(part: Part) -> Select[Any]:
    process, run = tables.processes.c, tables.runs.c
    return (
        select(func.count())
        .select_from(part.table)
        .join(tables.processes, process.id == part.table.c.process_id)
        .join(tables.runs, (run.id == process.run_id) & part.same_day)
        .where(part.runs, part.rows)
    )


def _is_over_since(cutoff: float) -> ColumnElement[bool]:
    """Return whether a run had ended before *cutoff*, as far as is known."""
    run, process = tables.runs.c, tables.processes.c
    seen_last = process.seen_at > func.coalesce(process.closed_at, 0)
    newest = (
        select(func.max(case((seen_last, process.seen_at), else_=process.closed_at)))
        .where(process.run_id == run.id)
        .correlate(tables.runs)
        .scalar_subquery()
    )
    ended_at = func.coalesce(run.stopped_at, newest, run.started_at)
    return (run.state != RUNNING) & (run.started_at < cutoff) & (ended_at < cutoff)


def _policy(kind: str, row: Any) -> Policy:
    fixed = KINDS[kind]
    days = None if row is None else row.days
    archive = None if row is None else row.archive
    return Policy(
        kind=kind,
        days=fixed.days if days is None else days,
        archive=fixed.archivable if archive is None else bool(archive),
        is_default=days is None and archive is None,
        last_run_at=None if row is None else row.last_run_at,
    )


def _terms(policy: Policy) -> dict[str, Any]:
    return {"days": policy.days, "archive": policy.archive}
