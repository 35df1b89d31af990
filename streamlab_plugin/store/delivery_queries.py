"""What became of the messages of a run; worked out when it ends, and read from its row afterwards."""

from __future__ import annotations

import json
from collections.abc import Iterator

from sqlalchemy import Connection, select

from streamlab_plugin.detect.delivery import Deliveries, Tracked, account
from streamlab_plugin.store import tables
from streamlab_plugin.store.rollup_queries import series_keys
from streamlab_plugin.store.tracks import track_of


def account_run(conn: Connection, run_id: int) -> Deliveries | None:
    """Return what became of everything that the run's processes published, None if nothing was tracked."""
    return account(_tracked(conn, run_id))


def run_deliveries(conn: Connection, run_id: int) -> Deliveries | None:
    """Return what became of the messages of a run that is over, None where nothing was published."""
    text = conn.scalar(select(tables.runs.c.deliveries).where(tables.runs.c.id == run_id))
    return None if text is None else Deliveries.from_dict(json.loads(text))


def _tracked(conn: Connection, run_id: int) -> Iterator[Tracked]:
    tracks, process = tables.tracks.c, tables.processes.c
    rows = conn.execute(
        select(tables.tracks)
        .join_from(tables.processes, tables.tracks, tracks.process_id == process.id)
        .where(process.run_id == run_id)
    ).all()
    series = series_keys(conn, {row.series_id for row in rows})
    for row in rows:
        yield Tracked(row.role, row.stream, row.subscriber, series[row.series_id].endpoint, track_of(row))
