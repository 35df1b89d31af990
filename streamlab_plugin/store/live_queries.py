"""What is happening now: the last seconds of a run, for the overview and for the window rules.

Touches the window's rows alone; how long the run has been going on costs nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import Connection, func, select

from streamlab_plugin.store import tables
from streamlab_plugin.store.rollup_queries import (
    Piece,
    Totals,
    read_rollups,
    series_keys,
    summarise,
    within,
)
from streamlab_plugin.store.run_queries import Run, current_users, process_ids

WINDOW_S = 60
Counts = dict[tuple[str, str], tuple[int, int]]
"""(protocol, endpoint) -> (judged requests, errors)."""


@dataclass(frozen=True, slots=True)
class Live:
    """The last seconds of a running run.

    ``seconds`` is how long the window really is: a run that began a moment ago has not filled it.
    ``last_data_at`` is the newest second with a request (epoch), None before the first one.
    """

    seconds: float
    protocols: Mapping[str, Totals]
    everything: Totals
    users: int
    last_data_at: int | None


def live_overview(conn: Connection, run: Run, now: float, window_s: int = WINDOW_S) -> Live:
    """Return the last *window_s* seconds of *run* before *now* (epoch seconds)."""
    processes = process_ids(conn, run.id)
    since = max(int(run.started_at), int(now) - window_s + 1)
    summary = summarise(read_rollups(conn, processes, [Piece(1, since)]))
    return Live(
        seconds=max(1.0, now - max(float(since), run.started_at)),
        protocols=summary.protocols,
        everything=summary.everything,
        users=current_users(conn, run.id),
        last_data_at=_last_data_at(conn, processes),
    )


def second_counts(conn: Connection, run_id: int, since: int, until: int) -> dict[int, Counts]:
    """Return (judged requests, errors) per (protocol, endpoint) for the seconds *since* ≤ s < *until*.

    Interrupted requests are in neither count.
    """
    column = tables.rollups.c
    summed = select(
        column.start,
        column.series_id,
        func.sum(column["count"] - column.interrupted).label("judged"),
        func.sum(column.errors).label("errors"),
    )
    statement = within(summed, process_ids(conn, run_id), 1, since, until)
    rows = conn.execute(statement.group_by(column.start, column.series_id)).all()
    series = series_keys(conn, {row.series_id for row in rows})
    counts: dict[int, Counts] = {}
    for row in rows:
        key, second = series[row.series_id], counts.setdefault(row.start, {})
        judged, errors = second.get((key.protocol, key.endpoint), (0, 0))
        second[key.protocol, key.endpoint] = (judged + int(row.judged), errors + int(row.errors))
    return counts


def _last_data_at(conn: Connection, processes: list[int]) -> int | None:
    # One look-up per process: a maximum over several of them would read every row of the period.
    column = tables.rollups.c
    newest = [
        conn.scalar(select(func.max(column.start)).where(column.process_id == process, column.period_s == 1))
        for process in processes
    ]
    return max((start for start in newest if start is not None), default=None)
