"""A run over time, in few enough points for a chart and a one-second poll."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, TextClause, func, select

from streamlab_plugin.detect.sketch import Sketch
from streamlab_plugin.store import tables
from streamlab_plugin.store.range_queries import oldest_starts, whole_from
from streamlab_plugin.store.rollup_queries import fetch_binary, series_keys, within
from streamlab_plugin.store.run_queries import Run, process_ids

PERIODS_S = (1, 60, 3600)
MOST_POINTS = 600
ALL = "all"

# A second counts as settled this long after its end: link, batch and commit take a few hundred milliseconds.
_SETTLED_S = 0.5
# Gauges come about once a second; a gap up to this long is carried over rather than drawn as zero users.
_CARRY_S = 5
# Retention keeps the rollups of seconds for one day or longer.
SECONDS_KEPT_AT_LEAST_S = 86_400
_SAMPLED_FROM_S = 60


@dataclass(slots=True)
class Curves:
    """Values over the points of a timeline; None where there is nothing to show."""

    throughput_rps: list[float | None]
    error_rate: list[float | None]
    p50_ms: list[float | None]
    p95_ms: list[float | None]
    p99_ms: list[float | None]


@dataclass(frozen=True, slots=True)
class Timeline:
    """A run over time: ``starts`` are epoch seconds, ``period_s`` apart; every list is as long as they are.

    ``curves`` maps a protocol, and ``"all"``, to its values.
    """

    period_s: int
    starts: Sequence[int]
    curves: Mapping[str, Curves]
    users: Sequence[int | None]


@dataclass(slots=True)
class _Cell:
    judged: int = 0
    errors: int = 0
    answered: int = 0
    sketch: Sketch = field(default_factory=Sketch)


def run_timeline(
    conn: Connection,
    run: Run,
    *,
    now: float,
    period_s: int | None = None,
    since: int | None = None,
) -> Timeline:
    """Return *run* over time in at most `MOST_POINTS` points, the newest ones if there are more.

    *period_s* (1, 60 or 3600) is chosen by the run's length if not given; *since* (epoch seconds) leaves
    out what is older. The second that is still filling is not shown.
    """
    first = int(run.started_at)
    end = int(now - _SETTLED_S) if run.is_live else math.ceil(run.stopped_at or now)
    period_s = period_s or _kept_period(conn, run, _fitting_period(end - first), now)
    last = -(-end // period_s) * period_s
    begin = max(first, since or 0, last - MOST_POINTS * period_s)
    begin -= begin % period_s
    starts = range(begin, last, period_s)
    processes = process_ids(conn, run.id)
    cells = _cells(conn, processes, period_s, begin, last)
    everything = _curves(starts, _summed(list(cells.values())), run, now, period_s)
    # A run of one protocol, as most are, needs no second look at the same numbers.
    parts = {
        name: _curves(starts, by_start, run, now, period_s) if len(cells) > 1 else everything
        for name, by_start in cells.items()
    }
    curves = {ALL: everything, **parts}
    return Timeline(period_s, list(starts), curves, _users(conn, run.id, starts, period_s))


def peak_users(conn: Connection, run: Run, now: float) -> int | None:
    """Return the most users that *run* had in one second; of a long run, a few seconds of each minute.

    None: retention has removed the gauges, or there never were any.
    """
    gauges = tables.gauges.c
    per_second = (
        select(func.sum(gauges.users).label("users"))
        .where(gauges.process_id.in_(_generating(run.id)), *_sample(_fitting_period(run.duration_s(now))))
        .group_by(gauges.start)
        .subquery()
    )
    most = conn.scalar(select(func.max(per_second.c.users)))
    return None if most is None else int(most)


def users_at(conn: Connection, run_id: int, second: int) -> int | None:
    """Return how many users the run had in one second, None when that is not known."""
    return _users(conn, run_id, range(second, second + 1), 1)[0]


def _kept_period(conn: Connection, run: Run, period_s: int, now: float) -> int:
    """Return *period_s*, or the finest coarser one whose rollups are all there still."""
    if now - run.started_at < SECONDS_KEPT_AT_LEAST_S:
        return period_s
    wholes = [whole_from(starts) for starts in oldest_starts(conn, run.id).values()]
    return next(
        (
            period
            for period in PERIODS_S
            if period >= period_s and all(run.started_at >= whole[period] for whole in wholes)
        ),
        PERIODS_S[-1],
    )


def _fitting_period(seconds: float) -> int:
    return next((period for period in PERIODS_S if seconds <= period * MOST_POINTS), PERIODS_S[-1])


def _cells(
    conn: Connection, processes: Sequence[int], period_s: int, begin: int, end: int
) -> dict[str, dict[int, _Cell]]:
    """Return, by protocol and start, what the rollups sum up to."""
    column = tables.rollups.c
    columns = (
        column.start,
        column.series_id,
        column["count"] - column.interrupted,
        column.errors,
        column.answered,
        column.sketch,
    )
    rows = fetch_binary(conn, within(select(*columns), processes, period_s, begin, end))
    series = series_keys(conn, {row[1] for row in rows})
    cells: dict[str, dict[int, _Cell]] = {}
    # Looked up once per series: a chart is made of thousands of rows.
    places = {
        series_id: (cells.setdefault(key.protocol, {}), key.has_latency) for series_id, key in series.items()
    }
    for start, series_id, judged, errors, answered, sketch in rows:
        by_start, has_latency = places[series_id]
        cell = by_start.get(start)
        if cell is None:
            cell = by_start[start] = _Cell()
        cell.judged += judged
        cell.errors += errors
        cell.answered += answered
        if has_latency and sketch:
            cell.sketch.merge_bytes(sketch)
    return cells


def _summed(parts: Sequence[dict[int, _Cell]]) -> dict[int, _Cell]:
    if len(parts) == 1:
        return parts[0]
    everything: dict[int, _Cell] = {}
    for by_start in parts:
        for start, cell in by_start.items():
            whole = everything.setdefault(start, _Cell())
            whole.judged += cell.judged
            whole.errors += cell.errors
            whole.answered += cell.answered
            whole.sketch.merge(cell.sketch)
    return everything


def _curves(starts: range, by_start: Mapping[int, _Cell], run: Run, now: float, period_s: int) -> Curves:
    curves = Curves([], [], [], [], [])
    run_end = run.stopped_at or now
    nothing = _Cell()
    for start in starts:
        cell = by_start.get(start, nothing)
        # The first and the last point are often covered only in part.
        covered_s = min(start + period_s, run_end) - max(start, run.started_at) if period_s > 1 else 1.0
        curves.throughput_rps.append(round(cell.answered / max(1.0, covered_s), 3))
        curves.error_rate.append(round(cell.errors / cell.judged, 5) if cell.judged else None)
        curves.p50_ms.append(_rounded(cell.sketch.percentile(50)))
        curves.p95_ms.append(_rounded(cell.sketch.percentile(95)))
        curves.p99_ms.append(_rounded(cell.sketch.percentile(99)))
    return curves


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)


def _generating(run_id: int) -> Any:
    # A master reports the sum of its workers: counting it too would double every user.
    process = tables.processes.c
    return select(process.id).where(process.run_id == run_id, process.role != "master")


def _users(conn: Connection, run_id: int, starts: range, period_s: int) -> list[int | None]:
    """Add up, per point, each process's users, carrying a value over short gaps."""
    if not starts:
        return []
    gauges = tables.gauges.c
    begin, last = starts[0], starts[-1] + period_s
    rows = fetch_binary(
        conn,
        select(gauges.process_id, gauges.start, gauges.users).where(
            gauges.process_id.in_(conn.scalars(_generating(run_id)).all()),
            gauges.start >= begin - _CARRY_S,
            gauges.start < last,
            *_sample(period_s),
        ),
    )
    by_process: dict[int, dict[int, int]] = {}
    for process, start, users in rows:
        point = start - start % period_s
        seen = by_process.setdefault(process, {})
        seen[point] = max(seen.get(point, 0), users)
    return [_users_at(by_process, start, period_s) for start in starts]


def _sample(period_s: int) -> tuple[TextClause, ...]:
    # A day has 86,400 gauges per process; a few of each minute say as much at the scale of minutes.
    return (tables.SAMPLED,) if period_s >= _SAMPLED_FROM_S else ()


def _users_at(by_process: Mapping[int, Mapping[int, int]], start: int, period_s: int) -> int | None:
    known = [users for seen in by_process.values() if (users := _latest(seen, start, period_s)) is not None]
    return sum(known) if known else None


def _latest(seen: Mapping[int, int], start: int, period_s: int) -> int | None:
    for point in range(start, start - max(_CARRY_S, period_s) - 1, -period_s):
        if point in seen:
            return seen[point]
    return None
