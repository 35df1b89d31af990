"""Any stretch of a run is summed up exactly, from few rows."""

from __future__ import annotations

import random
from bisect import bisect_left, bisect_right
from typing import Any

import pytest
from seeded import FINISHED, LENGTH_S, NOW, RUNNING, Seeded
from sqlalchemy import Connection, delete, select, text

from streamlab_plugin.store import tables
from streamlab_plugin.store.queries import find_run, range_summary, run_summary
from streamlab_plugin.store.range_queries import cover
from streamlab_plugin.store.rollup_queries import Piece

BEGAN = int(NOW) - 7200


def by_seconds(conn: Connection, run_id: int, since: int, until: int) -> dict[str, tuple[int, ...]]:
    """Return count, errors, answered and bytes by protocol, added up second by second."""
    rows = conn.execute(
        text(
            "SELECT protocol, sum(count), sum(errors), sum(answered), sum(size_sum) FROM rollups"
            " JOIN series ON series.id = series_id JOIN processes ON processes.id = process_id"
            " WHERE run_id = :run AND period_s = 1 AND start >= :since AND start < :until GROUP BY protocol"
        ),
        {"run": run_id, "since": since, "until": until},
    )
    return {row[0]: tuple(int(value) for value in row[1:]) for row in rows}


def counts(totals: Any) -> dict[str, tuple[int, ...]]:
    """Return the same of totals by protocol."""
    return {name: (one.count, one.errors, one.answered, one.size_bytes) for name, one in totals.items()}


class TestCover:
    @pytest.mark.parametrize("seed", range(50))
    def test_exactly_once(self, seed: int) -> None:
        """The pieces of any range make it up without gap and overlap, each made of whole rows."""
        rng = random.Random(seed)
        since = rng.randrange(0, 20_000)
        until = since + rng.choice([1, 59, 60, 61, 3599, 3600, 7200, rng.randrange(1, 100_000)])
        seconds = 0
        for period_s, begin, end in sorted(cover(since, until), key=lambda piece: piece[1] or 0):
            assert begin is not None
            assert end is not None
            assert since + seconds == begin
            assert 0 == begin % period_s == end % period_s
            seconds += end - begin
        assert until - since == seconds

    def test_a_day_takes_few_rows(self) -> None:
        """A day that begins and ends in the middle of a minute takes at most 260 rows per series."""
        pieces = cover(1, 86_399 + 60)
        assert sum(((piece.end or 0) - (piece.begin or 0)) // piece.period_s for piece in pieces) <= 260

    def test_nothing(self) -> None:
        """An empty range has no pieces, a whole hour is one."""
        assert cover(7200, 7200) == []
        assert cover(3600, 7200) == [Piece(3600, 3600, 7200)]


class TestRangeTotals:
    @pytest.mark.parametrize("seed", range(10))
    def test_counts_are_exact(self, conn: Connection, seed: int) -> None:
        """Any range has the counts of its seconds."""
        rng = random.Random(seed)
        run = find_run(conn, FINISHED)
        since = BEGAN + rng.randrange(-100, LENGTH_S)
        until = since + rng.randrange(1, LENGTH_S)
        found = range_summary(conn, run, since, until)
        want = by_seconds(conn, run.id, since, until)
        assert (want, since, until, False) == (
            counts(found.summary.protocols),
            found.since,
            found.until,
            found.is_rounded,
        )
        assert sum(one[0] for one in want.values()) == found.summary.everything.count

    @pytest.mark.parametrize("run_id", [1, 2])
    def test_whole_run(self, conn: Connection, seeded: Seeded, run_id: int) -> None:
        """The whole run as a range is the whole run, its percentiles within the sketches' error."""
        public = (FINISHED, RUNNING)[run_id - 1]
        begin = BEGAN if run_id == 1 else int(NOW) - LENGTH_S
        found = range_summary(conn, find_run(conn, public), begin, begin + LENGTH_S)
        _, protocols, everything = run_summary(conn, run_id)
        assert counts(protocols) == counts(found.summary.protocols)
        assert everything.count == found.summary.everything.count
        for protocol, want in seeded.expected[public].items():
            ordered, p95 = sorted(want.latencies_ms), found.summary.protocols[protocol].p95_ms
            assert p95 is not None
            assert bisect_left(ordered, p95 * (1 - 1e-6)) / len(ordered) <= 0.96
            assert bisect_right(ordered, p95 * (1 + 1e-6)) / len(ordered) >= 0.94

    def test_the_spike_alone(self, conn: Connection) -> None:
        """The minute of the latency spike is far slower than the one before."""
        run = find_run(conn, FINISHED)
        spike = range_summary(conn, run, BEGAN + 300, BEGAN + 360).summary.protocols["http"].p95_ms or 0
        calm = range_summary(conn, run, BEGAN + 230, BEGAN + 290).summary.protocols["http"].p95_ms or 0
        assert spike > 2 * calm > 0

    def test_nothing_there(self, conn: Connection) -> None:
        """A range before the run, or an empty one, has no totals."""
        run = find_run(conn, FINISHED)
        for since, until in ((BEGAN - 900, BEGAN - 800), (BEGAN, BEGAN), (BEGAN + 5, BEGAN)):
            found = range_summary(conn, run, since, until)
            assert (found.summary.protocols, found.summary.everything.count, found.is_rounded) == (
                {},
                0,
                False,
            )

    def test_endpoints(self, conn: Connection) -> None:
        """Endpoints of a range are those of the run, and add up to its totals."""
        run = find_run(conn, FINISHED)
        whole = range_summary(conn, run, BEGAN, BEGAN + LENGTH_S)
        assert [(key, one.count) for key, one in run_summary(conn, 1).endpoints] == [
            (key, one.count) for key, one in whole.summary.endpoints
        ]
        part = range_summary(conn, run, BEGAN + 7, BEGAN + 99)
        want = by_seconds(conn, 1, BEGAN + 7, BEGAN + 99)
        assert sum(one[0] for one in want.values()) == sum(one.count for _, one in part.summary.endpoints)


class TestRemovedRollups:
    """What retention has removed is rounded outwards, and said."""

    def remove(self, seeded: Seeded, period_s: int, before: int) -> None:
        with seeded.engine().begin() as conn:
            column = tables.rollups.c
            conn.execute(delete(tables.rollups).where(column.period_s == period_s, column.start < before))

    def minutes(self, seeded: Seeded, begin: int, end: int) -> int:
        column = tables.rollups.c
        with seeded.engine().connect() as conn:
            rows = conn.scalars(
                select(column["count"]).where(
                    column.period_s == 60, column.process_id == 1, column.start >= begin, column.start < end
                )
            )
            return sum(rows)

    def test_edges_become_minutes(self, own_seeded: Seeded) -> None:
        """Without seconds both edges are whole minutes."""
        want = self.minutes(own_seeded, BEGAN // 60 * 60 + 60, BEGAN // 60 * 60 + 300)
        self.remove(own_seeded, 1, 2**31 - 1)
        with own_seeded.engine().connect() as conn:
            begin = BEGAN // 60 * 60 + 60
            found = range_summary(conn, find_run(conn, FINISHED), begin + 7, begin + 200)
        assert (begin, begin + 240, True) == (found.since, found.until, found.is_rounded)
        assert want == found.summary.everything.count

    def test_only_where_they_are_gone(self, own_seeded: Seeded) -> None:
        """Behind the last second that was removed everything is exact."""
        self.remove(own_seeded, 1, BEGAN + 200)
        with own_seeded.engine().connect() as conn:
            run = find_run(conn, FINISHED)
            behind = range_summary(conn, run, BEGAN + 301, BEGAN + 333)
            want = by_seconds(conn, 1, BEGAN + 301, BEGAN + 333)
            across = range_summary(conn, run, BEGAN + 101, BEGAN + 333)
        assert (want, False) == (counts(behind.summary.protocols), behind.is_rounded)
        assert (True, BEGAN + 333) == (across.is_rounded, across.until)
        assert (BEGAN + 101) // 60 * 60 == across.since

    def test_edges_become_hours(self, own_seeded: Seeded) -> None:
        """Without seconds and minutes they are whole hours."""
        self.remove(own_seeded, 1, 2**31 - 1)
        self.remove(own_seeded, 60, 2**31 - 1)
        with own_seeded.engine().connect() as conn:
            found = range_summary(conn, find_run(conn, FINISHED), BEGAN + 100, BEGAN + 200)
            whole = run_summary(conn, 1).everything
        assert (0, 0, True) == (found.since % 3600, found.until % 3600, found.is_rounded)
        assert 0 < found.summary.everything.count <= whole.count

    def test_whole_minutes_need_no_seconds(self, own_seeded: Seeded) -> None:
        """A range of whole minutes stays what it is."""
        self.remove(own_seeded, 1, 2**31 - 1)
        begin = BEGAN // 60 * 60 + 60
        with own_seeded.engine().connect() as conn:
            found = range_summary(conn, find_run(conn, FINISHED), begin, begin + 120)
        assert (False, self.minutes(own_seeded, begin, begin + 120)) == (
            found.is_rounded,
            found.summary.everything.count,
        )
