"""Writes that happen a few times per run: opening runs and processes, signatures, the verdict."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, select, update
from sqlalchemy.dialects.sqlite import insert

from streamlab_plugin.store import tables


@dataclass(frozen=True, slots=True)
class RunRow:
    """A run as a recorder needs it."""

    id: int
    run: str
    run_day: int
    started_at: float
    key_id: str
    settings: str


@dataclass(frozen=True, slots=True)
class ProcessRow:
    """A process's stream as far as it is stored."""

    id: int
    last_frame: int
    produced: int
    quarantined: int
    state: str


def open_run(connection: Connection, values: Mapping[str, Any], settings_hash: str, settings: str) -> None:
    """Store a run and its settings unless they are there already."""
    with connection.begin():
        connection.execute(
            insert(tables.settings).values(hash=settings_hash, body=settings).on_conflict_do_nothing()
        )
        settings_id = connection.execute(
            select(tables.settings.c.id).where(tables.settings.c.hash == settings_hash)
        ).scalar_one()
        connection.execute(
            insert(tables.runs)
            .values(**values, state="running", settings_id=settings_id)
            .on_conflict_do_nothing()
        )


def find_run(connection: Connection, run: str) -> RunRow | None:
    """Return the run with this public id, or None."""
    runs, settings = tables.runs.c, tables.settings.c
    query = (
        select(runs.id, runs.run, runs.run_day, runs.started_at, runs.key_id, settings.body)
        .join_from(tables.runs, tables.settings)
        .where(runs.run == run)
    )
    with connection.begin():
        row = connection.execute(query).one_or_none()
    return None if row is None else RunRow(*row)


def open_process(
    connection: Connection, run_id: int, process: str, role: str, pid: int, at: float
) -> ProcessRow:
    """Store a process unless it is there already, and return how far its stream got."""
    table = tables.processes
    values = {
        "process": process, "run_id": run_id, "role": role, "pid": pid, "state": "open", "opened_at": at,
        "last_frame": 0, "produced": 0, "stored": 0, "quarantined": 0, "dropped": "{}",
        "privacy": "{}", "users": 0,
    }  # fmt: skip
    columns = table.c
    with connection.begin():
        connection.execute(insert(table).values(values).on_conflict_do_nothing())
        # A stream whose recorder died was never lost if its process is here again.
        connection.execute(
            update(table)
            .where(columns.process == process, columns.state == "lost")
            .values(state="open", closed_at=None)
        )
        row = connection.execute(
            select(
                columns.id, columns.last_frame, columns.produced, columns.quarantined, columns.state
            ).where(columns.process == process)
        ).one()
    return ProcessRow(*row)


def stream_states(connection: Connection, run_id: int) -> list[tuple[str, str]]:
    """Return (role, state) of every process of a run."""
    table = tables.processes.c
    with connection.begin():
        rows = connection.execute(select(table.role, table.state).where(table.run_id == run_id)).all()
    return [(str(role), str(state)) for role, state in rows]


def finish_run(
    connection: Connection, run_id: int, *, state: str, stopped_at: float, verdict: Mapping[str, Any] | None
) -> None:
    """Store a run's end and, where there is one, its verdict (columns of the table but run_id)."""
    with connection.begin():
        connection.execute(
            update(tables.runs).where(tables.runs.c.id == run_id).values(state=state, stopped_at=stopped_at)
        )
        if verdict is not None:
            statement = insert(tables.verdicts).values(run_id=run_id, **verdict)
            connection.execute(statement.on_conflict_do_update(index_elements=["run_id"], set_=dict(verdict)))


def stop_run(connection: Connection, run_id: int, stopped_at: float, expected_workers: int) -> None:
    """Store when the test stopped and how many workers it had."""
    with connection.begin():
        connection.execute(
            update(tables.runs)
            .where(tables.runs.c.id == run_id)
            .values(stopped_at=stopped_at, expected_workers=expected_workers)
        )


def signature_base(connection: Connection, fingerprint: str, run_id: int) -> int | None:
    """Return a signature's count before this run, or None when it is new to the database."""
    signatures, occurrences, processes = tables.signatures.c, tables.occurrences.c, tables.processes.c
    with connection.begin():
        count = connection.execute(
            select(signatures.count).where(signatures.fingerprint == fingerprint)
        ).scalar_one_or_none()
        if count is None:
            return None
        # A recorder that was restarted in mid-run must not count this run twice.
        counted = connection.execute(
            select(signatures.last_run_id).where(signatures.fingerprint == fingerprint)
        ).scalar_one()
        if counted != run_id:
            return int(count)
        own = connection.execute(
            select(occurrences.count)
            .join_from(tables.occurrences, tables.processes, occurrences.process_id == processes.id)
            .where(occurrences.fingerprint == fingerprint, processes.run_id == run_id)
        ).scalars()
        return max(0, int(count) - int(sum(own)))


def save_occurrence(connection: Connection, process_id: int, values: Mapping[str, Any]) -> None:
    """Store a cumulative occurrence row in the caller's transaction; an older one of the same bucket goes."""
    statement = insert(tables.occurrences).prefix_with("OR REPLACE")
    connection.execute(statement.values(process_id=process_id, **values))


def save_signature(
    connection: Connection, values: Mapping[str, Any], fixes: Sequence[Mapping[str, Any]]
) -> None:
    """Insert or refresh a signature; *fixes* (columns but id and signature_id) count only when it is new."""
    table = tables.signatures
    with connection.begin():
        known = connection.execute(
            select(table.c.id).where(table.c.fingerprint == values["fingerprint"])
        ).scalar_one_or_none()
        if known is not None:
            fresh = {name: values[name] for name in ("severity", "last_seen", "count", "last_run_id")}
            connection.execute(update(table).where(table.c.id == known).values(fresh))
            return
        result = connection.execute(insert(table).values(**values))
        assert result.inserted_primary_key is not None
        signature_id = result.inserted_primary_key[0]
        for fix in fixes:
            row = {**fix, "steps": json.dumps(fix["steps"], ensure_ascii=False), "signature_id": signature_id}
            connection.execute(insert(tables.fixes).values(**row))
