"""Rollups are exact sums, cumulative, and survive a new recorder."""

from __future__ import annotations

from typing import Any

import pytest

from streamlab_plugin.detect.sketch import Sketch
from streamlab_plugin.recorder.rollup import KEEP_S, Delta, Rollups
from streamlab_plugin.store.batch import Key, RollupRow


class Stored:
    """A store that remembers rows as the table would."""

    def __init__(self) -> None:
        self.rows: dict[tuple[int, int, Key], RollupRow] = {}
        self.loads = 0

    def save(self, rows: list[RollupRow]) -> None:
        """Insert or replace."""
        for row in rows:
            self.rows[row.period_s, row.start, row.series] = row

    def load(self, period_s: int, start: int, series: Key) -> tuple[Any, ...] | None:
        """Return the columns after series_id."""
        self.loads += 1
        row = self.rows.get((period_s, start, series))
        return None if row is None else tuple(row[3:])


SERIES = Key("series", ("http", "GET", "/a", "out", ""))


def _add(rollups: Rollups, second: int, *latencies_ms: float, errors: int = 0) -> None:
    delta = rollups.deltas.setdefault((second, SERIES), Delta())
    delta.count += len(latencies_ms)
    delta.errors += errors
    delta.latencies_ms += latencies_ms


class TestRollups:
    """`Rollups`."""

    def test_one_record_is_in_three_periods(self) -> None:
        """Second, minute and hour, each starting at a multiple of itself."""
        stored = Stored()
        rollups = Rollups(stored.load, is_resumed=False)
        _add(rollups, 7265, 12.0)
        stored.save(rollups.take_changed())
        assert {(1, 7265), (60, 7260), (3600, 7200)} == {(period, start) for period, start, _ in stored.rows}

    def test_rows_are_cumulative(self) -> None:
        """A later row contains the earlier ones."""
        stored = Stored()
        rollups = Rollups(stored.load, is_resumed=False)
        _add(rollups, 100, 10.0, 20.0, errors=1)
        stored.save(rollups.take_changed())
        _add(rollups, 100, 60.0)
        stored.save(rollups.take_changed())
        row = stored.rows[1, 100, SERIES]
        assert (3, 1, 3, 90.0, 10.0, 60.0) == (
            row.requests, row.errors, row.latency_count, row.latency_sum, row.latency_min, row.latency_max,
        )  # fmt: skip
        assert row.sketch is not None
        assert 3 == Sketch.from_bytes(row.sketch).count

    def test_nothing_new_means_no_rows(self) -> None:
        """An unchanged bucket is not written again."""
        rollups = Rollups(Stored().load, is_resumed=False)
        _add(rollups, 100, 10.0)
        rollups.take_changed()
        assert [] == rollups.take_changed()

    def test_a_new_recorder_goes_on_where_the_last_one_stopped(self) -> None:
        """A resumed stream reads what is stored first."""
        stored = Stored()
        first = Rollups(stored.load, is_resumed=False)
        _add(first, 100, 10.0)
        stored.save(first.take_changed())
        second = Rollups(stored.load, is_resumed=True)
        _add(second, 100, 30.0)
        stored.save(second.take_changed())
        assert (2, 40.0) == (stored.rows[1, 100, SERIES].requests, stored.rows[1, 100, SERIES].latency_sum)
        assert 2 == stored.rows[3600, 0, SERIES].requests

    def test_a_late_record_of_a_forgotten_second_is_added(self) -> None:
        """Old buckets leave memory but not the truth."""
        stored = Stored()
        rollups = Rollups(stored.load, is_resumed=False)
        for second in (100, 100 + KEEP_S + 10, 100):
            _add(rollups, second, 10.0)
            stored.save(rollups.take_changed())
        assert 2 == stored.rows[1, 100, SERIES].requests

    def test_a_fresh_stream_never_reads(self) -> None:
        """Nothing can be stored yet."""
        stored = Stored()
        rollups = Rollups(stored.load, is_resumed=False)
        _add(rollups, 100, 10.0)
        _add(rollups, 101, 10.0)
        rollups.take_changed()
        assert 0 == stored.loads

    def test_a_failed_read_loses_nothing(self) -> None:
        """The call can be repeated."""

        def fail(*_name: Any) -> None:
            raise OSError("locked")

        rollups = Rollups(fail, is_resumed=True)
        _add(rollups, 100, 10.0)
        with pytest.raises(OSError, match="locked"):
            rollups.take_changed()
        rollups._load = lambda *_name: None
        assert [1, 1, 1] == [row.requests for row in rollups.take_changed()]
