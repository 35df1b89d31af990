"""Counts and latencies of any stretch of a run, from as few rollups as cover it.

Whole hours come from the rows of 3,600 s, whole minutes at either edge from those of 60 s, the seconds left
over from those of 1 s: at most 260 rows per series and process for a day. Retention removes the rows of
seconds long before the others; an edge whose rows are gone is rounded outwards to the minute or hour that
still has some.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from sqlalchemy import Connection, func, select

from streamlab_plugin.store import tables
from streamlab_plugin.store.rollup_queries import Piece, Rollups, Summary, read_rollups, summarise
from streamlab_plugin.store.run_queries import Run

PERIODS_S = (1, 60, 3600)


@dataclass(frozen=True, slots=True)
class RangeSummary:
    """What happened in *since* ≤ second < *until* (epoch seconds).

    ``is_rounded`` says that rows of an edge are gone and *since* or *until* is not what was asked for.
    """

    since: int
    until: int
    summary: Summary
    is_rounded: bool


def range_summary(conn: Connection, run: Run, since: int, until: int) -> RangeSummary:
    """Return the run's totals in a range; counts are exact, percentiles within the sketches' error."""
    begin, end, found = _read(conn, run, since, until)
    return RangeSummary(begin, end, summarise(found), (begin, end) != (since, until))


def cover(since: int, until: int) -> list[Piece]:
    """Return the pieces that make up *since* ≤ second < *until* exactly, with as few rows as possible."""
    begin, end = since, until
    pieces = []
    for period, coarser in pairwise(PERIODS_S):
        inner, outer = _up(begin, coarser), _down(end, coarser)
        if inner >= outer:
            pieces.append((period, begin, end))
            begin = end
            break
        pieces += [(period, begin, inner), (period, outer, end)]
        begin, end = inner, outer
    pieces.append((PERIODS_S[-1], begin, end))
    return [Piece(period, first, last) for period, first, last in pieces if first < last]


def _read(conn: Connection, run: Run, since: int, until: int) -> tuple[int, int, Rollups]:
    if since >= until:
        return since, until, Rollups({}, (), ())
    oldest = oldest_starts(conn, run.id)
    wholes = [whole_from(starts) for starts in oldest.values()]
    whole = {period: max((one[period] for one in wholes), default=0.0) for period in PERIODS_S}
    begin, end = _outwards(since, until, whole)
    return begin, end, read_rollups(conn, list(oldest), cover(begin, end))


def _outwards(since: int, until: int, whole: Mapping[int, float]) -> tuple[int, int]:
    """Return the range, widened at an edge to the finest period of which there are still rows."""
    for period, coarser in ((60, 3600), (1, 60)):
        if since % coarser and _down(since, period) < whole[period]:
            since = _down(since, coarser)
        if until % coarser and _down(until, coarser) < whole[period]:
            until = _up(until, coarser)
    return since, until


def oldest_starts(conn: Connection, run_id: int) -> dict[int, tuple[int | None, ...]]:
    """Return the first start of each process's rollups for each of `PERIODS_S`, None where there are none."""
    process, rollup = tables.processes.c, tables.rollups.c
    oldest = [
        select(func.min(rollup.start))
        .where(rollup.process_id == process.id, rollup.period_s == period)
        .scalar_subquery()
        for period in PERIODS_S
    ]
    rows = conn.execute(select(process.id, *oldest).where(process.run_id == run_id).order_by(process.id))
    return {row[0]: tuple(row[1:]) for row in rows}


def whole_from(oldest: Sequence[int | None]) -> dict[int, float]:
    """Return, by period, from which second on no rollup of a process has been removed."""
    whole = dict.fromkeys(PERIODS_S, float("-inf"))
    for (period, coarser), (start, known) in zip(pairwise(PERIODS_S), pairwise(oldest), strict=True):
        # The first rows of all periods are made by the same record, and the oldest rows are removed first.
        if known is not None and (start is None or _down(start, coarser) > known):
            whole[period] = float("inf") if start is None else _up(start, coarser)
    return whole


def _down(second: int, period_s: int) -> int:
    return second - second % period_s


def _up(second: int, period_s: int) -> int:
    return -(-second // period_s) * period_s
