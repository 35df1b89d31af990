"""Writes that happen a few times per run: opening runs and processes, their end, the verdict."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import Connection, select, update

from streamlab_plugin.detect.delivery import Deliveries
from streamlab_plugin.store import tables
from streamlab_plugin.store.delivery_queries import account_run
from streamlab_plugin.store.partition import ensure_partition
from streamlab_plugin.store.upsert import insert, replace


@dataclass(frozen=True, slots=True)
class RunRow:
    """A run as a recorder needs it."""

    run: str
    run_day: int
    started_at: float
    key_id: str
    settings: str


@dataclass(frozen=True, slots=True)
class ProcessRow:
    """A process's stream as far as it is stored."""

    last_frame: int
    produced: int
    state: str


class ProcessState(NamedTuple):
    """How a process's stream stands; times are epoch seconds."""

    id: int
    process: str
    role: str
    state: str
    opened_at: float
    closed_at: float | None
    seen_at: float | None


def open_run(connection: Connection, values: Mapping[str, Any], settings_hash: str, settings: str) -> None:
    """Store a run and its settings unless they are there already."""
    with connection.begin():
        kept = insert(connection, tables.settings).values(hash=settings_hash, body=settings)
        connection.execute(kept.on_conflict_do_nothing())
        ensure_partition(connection, values["run_day"])
        settings_id = connection.execute(
            select(tables.settings.c.id).where(tables.settings.c.hash == settings_hash)
        ).scalar_one()
        connection.execute(
            insert(connection, tables.runs)
            .values(**values, state="running", settings_id=settings_id)
            .on_conflict_do_nothing()
        )


def find_run(connection: Connection, run: str) -> RunRow | None:
    """Return the run with this public id, or None."""
    runs, settings = tables.runs.c, tables.settings.c
    query = (
        select(runs.run, runs.run_day, runs.started_at, runs.key_id, settings.body)
        .join_from(tables.runs, tables.settings)
        .where(runs.run == run)
    )
    with connection.begin():
        row = connection.execute(query).one_or_none()
    return None if row is None else RunRow(*row)


def open_process(
    connection: Connection, run: str, process: str, role: str, pid: int, at: float
) -> ProcessRow:
    """Store a process of *run* unless it is there already, and return how far its stream got.

    Raises:
        LookupError: the run is not in this database.
    """
    table = tables.processes
    values: dict[str, Any] = {
        "process": process, "role": role, "pid": pid, "state": "open", "opened_at": at,
        "last_frame": 0, "produced": 0, "stored": 0, "quarantined": 0, "dropped": "{}",
        "privacy": "{}", "users": 0,
    }  # fmt: skip
    columns = table.c
    with connection.begin():
        run_id = connection.scalar(select(tables.runs.c.id).where(tables.runs.c.run == run))
        if run_id is None:
            raise LookupError(f"run {run} is not in this database")
        values["run_id"] = run_id
        connection.execute(insert(connection, table).values(values).on_conflict_do_nothing())
        # A stream whose recorder died was never lost if its process is here again.
        connection.execute(
            update(table)
            .where(columns.process == process, columns.state == "lost")
            .values(state="open", closed_at=None)
        )
        row = connection.execute(
            # Waits for a transaction of a recorder that was killed: the server may still carry it out.
            select(columns.last_frame, columns.produced, columns.state)
            .where(columns.process == process)
            .with_for_update()
        ).one()
    return ProcessRow(*row)


def run_key(connection: Connection, run: str) -> int | None:
    """Return the integer key of the run with this public id, or None."""
    with connection.begin():
        return connection.scalar(select(tables.runs.c.id).where(tables.runs.c.run == run))


def process_key(connection: Connection, process: str) -> int | None:
    """Return the integer key of the process with this public id, or None."""
    with connection.begin():
        return connection.scalar(select(tables.processes.c.id).where(tables.processes.c.process == process))


def state_of(connection: Connection, run_id: int) -> str:
    """Return a run's state."""
    with connection.begin():
        return str(connection.scalar(select(tables.runs.c.state).where(tables.runs.c.id == run_id)))


def processes_of(connection: Connection, run_id: int) -> list[ProcessState]:
    """Return every process of a run."""
    table = tables.processes.c
    columns = [table[name] for name in ProcessState._fields]
    with connection.begin():
        rows = connection.execute(select(*columns).where(table.run_id == run_id).order_by(table.id)).all()
    return [ProcessState(*row) for row in rows]


def stop_was_requested(connection: Connection, run_id: int) -> bool:
    """Whether somebody asked for the run's end."""
    with connection.begin():
        at = connection.scalar(select(tables.runs.c.stop_requested_at).where(tables.runs.c.id == run_id))
    return at is not None


def finish_run(
    connection: Connection,
    run_id: int,
    *,
    state: str,
    stopped_at: float,
    degradations: Sequence[Mapping[str, Any]] = (),
    verdict: Mapping[str, Any] | None = None,
) -> Deliveries | None:
    """Store a run's end and, where there is one, its verdict (columns of the table but run_id).

    Returns what became of its messages, which is stored with it; None where none were published.
    """
    values: dict[str, Any] = {
        "state": state,
        "stopped_at": stopped_at,
        "degradations": json.dumps([dict(one) for one in degradations]),
    }
    with connection.begin():
        deliveries = account_run(connection, run_id)
        if deliveries is not None:
            values["deliveries"] = json.dumps(deliveries.to_dict())
        connection.execute(update(tables.runs).where(tables.runs.c.id == run_id).values(values))
        if verdict is not None:
            connection.execute(replace(connection, tables.verdicts, {"run_id": run_id, **verdict}))
    return deliveries


def stop_run(connection: Connection, run: str, stopped_at: float, expected_workers: int) -> None:
    """Store when the test stopped and how many workers it had."""
    with connection.begin():
        connection.execute(
            update(tables.runs)
            .where(tables.runs.c.run == run)
            .values(stopped_at=stopped_at, expected_workers=expected_workers)
        )
