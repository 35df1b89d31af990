"""Counting findings in buckets."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from streamlab_plugin.knowledge import occurrence
from streamlab_plugin.knowledge.occurrence import OccurrenceKey, OccurrenceRow, Occurrences


def key(fingerprint: str = "f", severity: str = "warning") -> OccurrenceKey:
    """Return what is counted."""
    return OccurrenceKey(fingerprint, "slow", "slow_http", severity, "http", "/a", "")


class Samples:
    """Build numbered samples and remember how many were asked for."""

    def __init__(self) -> None:
        self.asked = 0

    def __call__(self) -> tuple[str, Mapping[str, object]]:
        """Return the next sample."""
        self.asked += 1
        return f"message {self.asked}", {"seq": self.asked}


class TestAdd:
    """One finding more."""

    def test_row(self) -> None:
        """A bucket knows count, first and last time, first message and its exemplars."""
        counted, sample = Occurrences(), Samples()
        for at in (1003.5, 1001.0, 1009.9):
            counted.add(key(), at, sample)
        exemplars = ({"seq": 1}, {"seq": 2}, {"seq": 3})
        assert [
            OccurrenceRow(
                "f",
                1000,
                3,
                1001.0,
                1009.9,
                "slow",
                "slow_http",
                "warning",
                "http",
                "/a",
                "",
                "message 1",
                exemplars,
            )
        ] == counted.take_changed()

    def test_exemplars_are_bounded_and_lazy(self) -> None:
        """A rule that matches every request builds three exemplars, not thousands."""
        counted, sample = Occurrences(), Samples()
        for _ in range(5_000):
            counted.add(key(), 1000.0, sample)
        assert 3 == sample.asked
        assert [(5_000, 3)] == [(row.count, len(row.exemplars)) for row in counted.take_changed()]

    def test_buckets(self) -> None:
        """Findings are apart by fingerprint and by ten seconds."""
        counted, sample = Occurrences(), Samples()
        for name, at in (("f", 1009.999), ("f", 1010.0), ("g", 1010.0)):
            counted.add(key(name), at, sample)
        assert [("f", 1000), ("f", 1010), ("g", 1010)] == [
            (row.fingerprint, row.start) for row in counted.take_changed()
        ]

    def test_severity(self) -> None:
        """A bucket has the gravest severity of its findings."""
        counted, sample = Occurrences(), Samples()
        for severity in ("warning", "critical", "warning"):
            counted.add(key(severity=severity), 1000.0, sample)
        assert ["critical"] == [row.severity for row in counted.take_changed()]

    def test_overflow(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Beyond the limit new buckets are only counted as overflowed; the live ones go on."""
        monkeypatch.setattr(occurrence, "BUCKET_LIMIT", 2)
        counted, sample = Occurrences(), Samples()
        for name in ("a", "b", "c", "d", "a"):
            counted.add(key(name), 1000.0, sample)
        assert 2 == counted.overflowed
        assert [("a", 2), ("b", 1)] == [(row.fingerprint, row.count) for row in counted.take_changed()]


class TestTakeChanged:
    """What the next write stores."""

    def test_only_what_changed(self) -> None:
        """A bucket without new findings is not stored again; of one with them, what is new."""
        counted, sample = Occurrences(), Samples()
        counted.add(key("a"), 1000.0, sample)
        counted.add(key("b"), 1000.0, sample)
        counted.take_changed()
        counted.add(key("b"), 1001.0, sample)
        assert [("b", 1)] == [(row.fingerprint, row.count) for row in counted.take_changed()]
        assert [] == counted.take_changed()

    def test_rows_do_not_change_afterwards(self) -> None:
        """A row that was taken stays as it was while its bucket grows."""
        counted, sample = Occurrences(), Samples()
        counted.add(key(), 1000.0, sample)
        (row,) = counted.take_changed()
        counted.add(key(), 1001.0, sample)
        assert (1, ({"seq": 1},)) == (row.count, row.exemplars)

    def test_old_buckets_make_room(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A bucket that ended a minute before the newest finding no longer counts against the limit."""
        monkeypatch.setattr(occurrence, "BUCKET_LIMIT", 2)
        counted, sample = Occurrences(), Samples()
        counted.add(key(), 1000.0, sample)
        counted.add(key(), 1070.0, sample)
        counted.take_changed()
        counted.add(key("g"), 1070.0, sample)
        assert 0 == counted.overflowed

    def test_late_finding(self) -> None:
        """A finding for a forgotten bucket counts in the oldest live one."""
        counted, sample = Occurrences(), Samples()
        for _ in range(5):
            counted.add(key(), 1000.0, sample)
        counted.add(key(), 1100.0, sample)
        counted.take_changed()
        counted.add(key(), 1000.0, sample)
        assert [(1040, 1)] == [(row.start, row.count) for row in counted.take_changed()]

    def test_nothing_is_lost(self) -> None:
        """What was taken adds up to what was added, however often it was taken."""
        counted, sample = Occurrences(), Samples()
        taken = 0
        for number in range(1_000):
            counted.add(key(str(number % 7)), 1000.0 + number, sample)
            if number % 90 == 0:
                taken += sum(row.count for row in counted.take_changed())
        taken += sum(row.count for row in counted.take_changed())
        assert 1_000 == taken
