"""Whether a database is well, and what is in it: `streamlab db status` and `streamlab db check`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, func, select, text
from sqlalchemy.exc import DatabaseError

from streamlab_plugin.store import retention, tables
from streamlab_plugin.store.range_queries import PERIODS_S, oldest_starts, whole_from
from streamlab_plugin.store.run_queries import RUNNING, Process, Run, list_runs, run_processes

# A table is counted up to so many rows; beyond, it is only said that there are more.
MOST_COUNTED = 1_000_000
# Above this the whole check of a SQLite file would take minutes; the quick one leaves indexes out.
QUICK_ABOVE_BYTES = 512 * 1024 * 1024
# PostgreSQL's own estimate of a smaller table may be far off, and counting it costs nothing.
_ESTIMATED_ABOVE = 100_000


@dataclass(frozen=True, slots=True)
class RowCount:
    """How many rows a table has; *kind* is ``exact``, ``estimate`` or ``at_least``."""

    rows: int
    kind: str


def row_counts(conn: Connection) -> dict[str, RowCount]:
    """Return how many rows each table has, in a bounded time."""
    estimates = _estimates(conn) if conn.dialect.name == "postgresql" else {}
    return {
        name: RowCount(estimates[name], "estimate")
        if estimates.get(name, 0) > _ESTIMATED_ABOVE
        else _counted(conn, table)
        for name, table in sorted(tables.metadata.tables.items())
    }


def size_bytes(conn: Connection) -> int:
    """Return how much of the disk the database takes, a SQLite file with its write-ahead log."""
    if conn.dialect.name == "postgresql":
        return int(conn.scalar(text("SELECT pg_database_size(current_database())")) or 0)
    path = _sqlite_path(conn)
    files = [path, path.with_name(path.name + "-wal"), path.with_name(path.name + "-shm")]
    return sum(file.stat().st_size for file in files if file.is_file())


def connections(conn: Connection) -> dict[str, int] | None:
    """Return the open connections to a PostgreSQL database by application name; None: no server to ask."""
    if conn.dialect.name != "postgresql":
        return None
    rows = conn.execute(
        text(
            "SELECT coalesce(nullif(application_name, ''), '(unnamed)'), count(*) FROM pg_stat_activity"
            " WHERE datname = current_database() GROUP BY 1 ORDER BY 1"
        )
    )
    return {str(row[0]): int(row[1]) for row in rows}


def file_problems(conn: Connection) -> Iterator[str]:
    """Yield what is wrong with the file or its references; PostgreSQL sees to both by itself."""
    if conn.dialect.name == "postgresql":
        return
    check = "quick_check" if size_bytes(conn) > QUICK_ABOVE_BYTES else "integrity_check"
    try:
        found = conn.scalars(text(f"PRAGMA {check}(20)")).all()
    except DatabaseError as error:
        # Some damage is too much even for the check.
        found = [str(error.orig)]
    if found != ["ok"]:
        yield from (f"file: {line}" for problem in found for line in problem.splitlines())
        return
    for row in conn.execute(text("PRAGMA foreign_key_check")):
        yield f"table {row[0]}: a row refers to a row of {row[2]} that is not there"


def finished_runs(conn: Connection, most: int = 1_000_000) -> list[Run]:
    """Return the runs that `run_problems` can judge, the newest first."""
    return [run for run in list_runs(conn, most) if run.state != RUNNING]


def run_problems(conn: Connection, run: Run, now: float) -> Iterator[str]:
    """Yield what does not add up in a finished run, one line each."""
    oldest = oldest_starts(conn, run.id)
    kept_since = retention.policies(conn)[retention.RECORDS].cutoff(now)
    is_kept = (run.stopped_at or run.started_at) >= kept_since
    for process in run_processes(conn, run.id):
        found = _process_problems(conn, run, process, oldest[process.id], is_kept=is_kept)
        yield from (f"run {run.run[:8]}, process {process.process[:8]}: {problem}" for problem in found)


def _process_problems(
    conn: Connection, run: Run, process: Process, oldest: tuple[int | None, ...], *, is_kept: bool
) -> Iterator[str]:
    if process.state == "open":
        yield f"still open although the run is {run.state}"
    elif not process.ledger.is_balanced:
        yield f"the ledger does not balance: {process.ledger.text()}"
    if is_kept:
        yield from _record_problems(conn, run, process)
    yield from _rollup_problems(conn, process, oldest)


def _record_problems(conn: Connection, run: Run, process: Process) -> Iterator[str]:
    column = tables.records.c
    there = conn.scalar(
        select(func.count()).where(column.run_day == run.run_day, column.process_id == process.id)
    )
    ledger = process.ledger
    erased = f" and {ledger.erased:,} of them erased" if ledger.erased else ""
    # None at all: they were kept for a shorter time than they would be today.
    if there and there != ledger.stored - ledger.erased:
        yield f"{ledger.stored:,} records were stored{erased}, {there:,} are there"


def _rollup_problems(conn: Connection, process: Process, oldest: tuple[int | None, ...]) -> Iterator[str]:
    whole = whole_from(oldest)
    first = dict(zip(PERIODS_S, oldest, strict=True))
    for period, coarser in pairwise(PERIODS_S):
        start, known = first[period], first[coarser]
        if start is None or known is None:
            continue
        # Where rows of either period were removed, only what is behind them is compared.
        since = max(whole[period], whole[coarser], known if known > start else float("-inf"))
        counts = [_rolled_up(conn, process.id, one, since) for one in (period, coarser)]
        if counts[0] != counts[1]:
            yield f"rollups of {period} s count {counts[0]:,} records, those of {coarser} s {counts[1]:,}"


def _rolled_up(conn: Connection, process_id: int, period_s: int, since: float) -> int:
    column = tables.rollups.c
    statement = select(func.sum(column["count"])).where(
        column.process_id == process_id, column.period_s == period_s
    )
    if since != float("-inf"):
        hour = PERIODS_S[-1]
        statement = statement.where(column.start >= -(-int(since) // hour) * hour)
    return int(conn.scalar(statement) or 0)


def _counted(conn: Connection, table: Any) -> RowCount:
    some = select(text("1")).select_from(table).limit(MOST_COUNTED + 1).subquery()
    rows = int(conn.scalar(select(func.count()).select_from(some)) or 0)
    return RowCount(MOST_COUNTED, "at_least") if rows > MOST_COUNTED else RowCount(rows, "exact")


def _estimates(conn: Connection) -> dict[str, int]:
    rows = conn.execute(
        text(
            "SELECT coalesce(parent.relname, own.relname) AS name, sum(greatest(own.reltuples, 0)) AS rows"
            " FROM pg_class AS own LEFT JOIN pg_inherits ON inhrelid = own.oid"
            " LEFT JOIN pg_class AS parent ON parent.oid = inhparent"
            " WHERE own.relkind = 'r' AND own.relnamespace = current_schema()::regnamespace GROUP BY 1"
        )
    )
    return {str(row.name): int(row.rows) for row in rows}


def _sqlite_path(conn: Connection) -> Path:
    (path,) = (row[2] for row in conn.execute(text("PRAGMA database_list")) if row[1] == "main")
    return Path(path)
