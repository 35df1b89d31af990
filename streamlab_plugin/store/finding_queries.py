"""What the owner's recorder reads each second: occurrences that changed."""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import Connection, select

from streamlab_plugin.store import tables


class OccurrenceCount(NamedTuple):
    """One occurrence bucket of one process."""

    process_id: int
    fingerprint: str
    start: int
    count: int  # type: ignore[assignment]
    first_at: float
    last_at: float
    rule: str
    anomaly_type: str
    severity: str
    protocol: str
    endpoint: str
    error_class: str
    message: str
    counted: int


def occurrences_since(connection: Connection, run_id: int, since: int) -> list[OccurrenceCount]:
    """Return the run's occurrence buckets that begin at *since* (epoch second) or later."""
    table, processes = tables.occurrences.c, tables.processes.c
    query = (
        select(*[table[name] for name in OccurrenceCount._fields])
        .join_from(tables.occurrences, tables.processes, table.process_id == processes.id)
        .where(processes.run_id == run_id, table.start >= since)
        .order_by(table.start)
    )
    return [OccurrenceCount(*row) for row in connection.execute(query)]
