"""What redaction did in a run, and which runs were stored under which pseudonym key."""

from __future__ import annotations

import json

from sqlalchemy import Connection, func, select

from streamlab_plugin.privacy.tally import total
from streamlab_plugin.store import tables


def run_privacy(conn: Connection, run_id: int) -> dict[str, int]:
    """Return the counters of all processes of a run, see `privacy.tally`."""
    process = tables.processes.c
    found = conn.scalars(select(process.privacy).where(process.run_id == run_id))
    return total(json.loads(text) for text in found)


def runs_by_epoch(conn: Connection) -> dict[str, int]:
    """Return how many runs were stored under each pseudonym key, by the key's id."""
    run = tables.runs.c
    return dict(conn.execute(select(run.key_id, func.count()).group_by(run.key_id)).tuples().all())
