"""Runs that nobody will end any more: their owner, or its whole host, is gone."""

from __future__ import annotations

from typing import Any, NamedTuple

from sqlalchemy import Connection, func, select, update

from streamlab_plugin.recorder.finalise import finalise
from streamlab_plugin.recorder.run import make_run
from streamlab_plugin.store import run_writer, tables


class Abandoned(NamedTuple):
    """A run in state running of which nothing was heard for long; times are epoch seconds."""

    id: int
    run: str
    stopped_at: float | None
    expected_workers: int
    seen_at: float


def abandoned(connection: Connection, now: float, quiet_s: float, served: set[str]) -> list[Abandoned]:
    """Return the running runs that are not *served* and of which nothing was heard for *quiet_s* seconds."""
    runs, processes = tables.runs.c, tables.processes.c
    seen = func.coalesce(processes.seen_at, processes.closed_at, processes.opened_at)
    query = (
        select(runs.id, runs.run, runs.stopped_at, runs.expected_workers, runs.started_at, func.max(seen))
        .select_from(tables.runs.outerjoin(tables.processes, processes.run_id == runs.id))
        .where(runs.state == "running")
        .group_by(runs.id, runs.run, runs.stopped_at, runs.expected_workers, runs.started_at)
    )
    with connection.begin():
        rows = connection.execute(query).all()
    found = [
        Abandoned(row[0], row[1], row[2], row[3], max(row[4], row[2] or 0.0, row[5] or 0.0)) for row in rows
    ]
    return [run for run in found if run.run not in served and now - run.seen_at >= quiet_s]


def settle(connection: Connection, run: Abandoned) -> dict[str, Any]:
    """End a run: with a verdict when its test had stopped, else as aborted; return what became of it."""
    table = tables.processes
    last_seen = func.coalesce(table.c.seen_at, table.c.opened_at)
    with connection.begin():
        connection.execute(
            update(table)
            .where(table.c.run_id == run.id, table.c.state == "open")
            .values(state="lost", closed_at=last_seen, users=0)
        )
    if run.stopped_at is None:
        run_writer.finish_run(
            connection, run.id, state="aborted", stopped_at=run.seen_at,
        )  # fmt: skip
        return {"run": run.run, "state": "aborted", "verdict": None}
    row = run_writer.find_run(connection, run.run)
    assert row is not None
    made = make_run(row)
    made.key, made.stopped_at, made.expected_workers = run.id, run.stopped_at, run.expected_workers
    made.problems.append("the run was finished later: its recorder had gone before the end")
    finished = finalise(made, connection)
    return {"run": run.run, "state": finished.state, "verdict": finished.verdict}
