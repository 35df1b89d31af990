"""Where in a run the wanted records are, without an index of their own.

Two things lead to them. The rollups say in which seconds a process had records of the wanted series and
outcome, and how many. And a process numbers its records as they are reported, so that a time is found by
binary search over the numbers.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, bindparam, func, or_, select

from streamlab_plugin.core.record import OUTCOMES
from streamlab_plugin.store import tables
from streamlab_plugin.store.range_queries import PERIODS_S, whole_from
from streamlab_plugin.store.rollup_queries import Piece, within

# A number is found to within so many: a range may begin a little early and end a little late.
TOLERANCE = 64
# The latest end among so many neighbours is when they were reported; a single one may have ended long before.
NEIGHBOURS = 8
# Adjacent seconds are visited together up to so many wanted records, at first and later.
FIRST_ROWS = 100
SPAN_ROWS = 2_000
FAILURE = "failure"  # error or timeout

_ROLLUP = tables.rollups.c
_RECORD = tables.records.c
_ENDED_AT = _RECORD.started_at + func.coalesce(_RECORD.latency_ms, 0.0) / 1000.0


class Span(NamedTuple):
    """Seconds *begin* ≤ s < *end* in which *expected* wanted records ended; None: unknown."""

    begin: float
    end: float
    expected: int | None


@dataclass(frozen=True, slots=True)
class Wanted:
    """What rollups can tell of the wanted records; None means any."""

    series: tuple[int, ...] | None = None
    outcome: str | None = None  # one of OUTCOMES, or FAILURE
    min_latency_ms: float | None = None
    since: float = float("-inf")
    until: float = float("inf")


# What counts as wanted in a rollup, and which outcomes of a record that are.
_COUNTS = {
    "success": _ROLLUP["count"] - _ROLLUP.errors - _ROLLUP.interrupted,
    "error": _ROLLUP.errors - _ROLLUP.timeouts,
    "timeout": _ROLLUP.timeouts,
    "interrupted": _ROLLUP.interrupted,
    FAILURE: _ROLLUP.errors,
}
_FINER = {coarser: finer for finer, coarser in pairwise(PERIODS_S)}


def spans(conn: Connection, process_id: int, oldest: Sequence[int | None], wanted: Wanted) -> Iterator[Span]:
    """Yield the spans of a process that may hold wanted records: the newest first, none overlapping.

    *oldest* is the process's entry of `range_queries.oldest_starts`.
    """
    begin = oldest[-1]
    if begin is None:
        yield Span(wanted.since, wanted.until, None)
        return
    whole = whole_from(oldest)
    yield from _joined(_hot(conn, process_id, wanted, whole, Piece(PERIODS_S[-1])))
    if wanted.since < begin:
        # Nothing is known of the time before: usually there was none.
        yield Span(wanted.since, min(float(begin), wanted.until), None)


def record_conditions(wanted: Wanted) -> list[ColumnElement[bool]]:
    """Return what makes a record one of those that `Span.expected` counts, but for its time."""
    conditions = [] if wanted.series is None else [among(_RECORD.series_id, wanted.series)]
    if wanted.outcome == FAILURE:
        conditions.append(_RECORD.outcome.in_([OUTCOMES.index("error"), OUTCOMES.index("timeout")]))
    elif wanted.outcome is not None:
        conditions.append(_RECORD.outcome == OUTCOMES.index(wanted.outcome))
    return conditions


def ended_within(begin: float, end: float) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    """Return the conditions that a record ended at *begin* or later and before *end*."""
    return begin <= _ENDED_AT, end > _ENDED_AT


def among(column: Any, ids: Sequence[int]) -> ColumnElement[bool]:
    """Return the condition that *column* is one of *ids*."""
    # They stand in the statement itself: there may be more than a statement takes parameters.
    condition: ColumnElement[bool] = column.in_(
        bindparam(None, list(ids), expanding=True, literal_execute=True, unique=True)
    )
    return condition


def _hot(
    conn: Connection, process_id: int, wanted: Wanted, whole: Mapping[int, float], place: Piece
) -> Iterator[Span]:
    """Yield hours that hold something or, where there are rows of them, their minutes and seconds."""
    period = place.period_s
    finer = _FINER.get(period)
    for start, expected in _counts(conn, process_id, wanted, place):
        if start >= wanted.until or start + period <= wanted.since:
            continue
        if finer is None or start < whole[finer]:
            yield Span(start, start + period, expected)
        else:
            yield from _hot(conn, process_id, wanted, whole, Piece(finer, start, start + period))


def _counts(conn: Connection, process_id: int, wanted: Wanted, place: Piece) -> list[tuple[int, int]]:
    expected = func.sum(_ROLLUP["count"] if wanted.outcome is None else _COUNTS[wanted.outcome])
    statement = within(select(_ROLLUP.start, expected), [process_id], *place).group_by(_ROLLUP.start)
    if wanted.series is not None:
        statement = statement.where(among(_ROLLUP.series_id, wanted.series))
    statement = statement.having(expected > 0)
    if wanted.min_latency_ms is not None:
        # Interrupted exchanges are in no latency; what is stored as a float32 may be a little less.
        slowest, interrupted = func.max(_ROLLUP.latency_max), func.sum(_ROLLUP.interrupted)
        statement = statement.having(or_(slowest >= wanted.min_latency_ms * (1 - 1e-6), interrupted > 0))
    rows = conn.execute(statement.order_by(_ROLLUP.start.desc()))
    return [(row[0], int(row[1])) for row in rows]


def _joined(found: Iterator[Span]) -> Iterator[Span]:
    """Join adjacent spans: few seconds at first, since often the newest are enough, then more and more."""
    held: Span | None = None
    most = FIRST_ROWS
    for span in found:
        if held is None:
            held = span
            continue
        together = (held.expected or 0) + (span.expected or 0)
        if span.end == held.begin and together <= most:
            held = Span(span.begin, held.end, together)
            continue
        yield held
        held = span
        most = min(2 * most, SPAN_ROWS)
    if held is not None:
        yield held


class Numbers:
    """Find the numbers of a process's records by the time at which they were reported.

    A record is reported when its exchange ends or somewhat later, never earlier but for a clock that was set.
    """

    def __init__(self, conn: Connection, run_day: int, process_id: int) -> None:
        self._conn = conn
        self._where = (_RECORD.run_day == run_day, _RECORD.process_id == process_id)
        # Two statements: SQLite would go through all rows for both at once.
        lowest, highest = (
            conn.scalar(select(edge(_RECORD.seq)).where(*self._where)) for edge in (func.min, func.max)
        )
        self.first: int = lowest or 0
        self.end: int = (-1 if highest is None else highest) + 1
        self._known: list[tuple[int, float]] = []  # in order of both

    def __bool__(self) -> bool:
        """Whether the process has any record."""
        return self.first < self.end

    def between(self, begin: float, end: float) -> tuple[int, int]:
        """Return (first, end) of the numbers reported between two times, and a few more."""
        return self._place(begin)[0], min(self.end, self._place(end)[1] + NEIGHBOURS)

    def count(self, first: int, end: int, conditions: Sequence[ColumnElement[bool]]) -> int:
        """Return how many records with *first* ≤ number < *end* meet *conditions*."""
        where = (*self._where, _RECORD.seq >= first, _RECORD.seq < end, *conditions)
        return int(self._conn.scalar(select(func.count()).select_from(tables.records).where(*where)) or 0)

    def _place(self, at: float) -> tuple[int, int]:
        """Return two numbers, at most `TOLERANCE` apart, between which *at* lies."""
        if at == float("-inf"):
            return self.first, self.first
        if at == float("inf"):
            return self.end, self.end
        if not self._known:
            edges = sorted({self.first, max(self.first, self.end - NEIGHBOURS)})
            self._known = [(number, self._reported(number)) for number in edges]
        index = bisect_left(self._known, at, key=lambda one: one[1])
        low = self._known[index - 1] if index else (self.first, None)
        high = self._known[index] if index < len(self._known) else (self.end, None)
        is_guess = True
        while high[0] - low[0] > TOLERANCE:
            middle = (low[0] + high[0]) // 2
            if is_guess and low[1] is not None and high[1] is not None and high[1] > low[1]:
                share = (at - low[1]) / (high[1] - low[1])
                guess = low[0] + int(share * (high[0] - low[0]))
                middle = min(max(guess, low[0] + TOLERANCE // 2), high[0] - TOLERANCE // 2)
            # Where the rate changes a guess narrows one side only; halving in between keeps it short.
            is_guess = not is_guess
            found = (middle, self._reported(middle))
            insort(self._known, found)
            low, high = (found, high) if found[1] < at else (low, found)
        return low[0], high[0]

    def _reported(self, number: int) -> float:
        neighbours = (
            select(_ENDED_AT.label("ended_at"))
            .where(*self._where, _RECORD.seq >= number)
            .order_by(_RECORD.seq)
            .limit(NEIGHBOURS)
            .subquery()
        )
        return float(self._conn.scalar(select(func.max(neighbours.c.ended_at))))
