"""The schedule is decided by seed and duration alone."""

from __future__ import annotations

import pytest

from streamlab_plugin.demo.schedule import Schedule, build_schedule

TYPES = {
    "latency_spike": "slow_http",
    "rate_limit": "rate_limited",
    "server_errors": "server_error",
    "field_rename": "schema_drift",
    "websocket_drops": "websocket_abnormal_close",
    "slow_topic": "slow_mqtt",
}
SEEDS = range(200)


def windows(schedule: Schedule) -> list[tuple[float, float]]:
    """Return begin and end of every entry but the rename, which lasts."""
    return [(e.at_s, e.until_s) for e in schedule.entries.values() if e.kind != "field_rename"]


class TestBuildSchedule:
    """`build_schedule`."""

    def test_the_same_seed_gives_the_same_schedule(self) -> None:
        """Two calls agree, so that target, command and test can each build it."""
        assert build_schedule(60, 7) == build_schedule(60, 7)

    def test_another_seed_gives_another_schedule(self) -> None:
        """The seed moves things."""
        assert len(SEEDS) == len({str(build_schedule(60, seed)) for seed in SEEDS})

    def test_every_kind_appears_with_its_anomaly_type(self) -> None:
        """Each misbehaviour says what must be found."""
        found = {kind: entry.expected_type for kind, entry in build_schedule(60, 7).entries.items()}
        assert found == TYPES

    def test_entries_are_in_the_order_in_which_they_begin(self) -> None:
        """The printed schedule reads from top to bottom."""
        starts = [entry.at_s for entry in build_schedule(60, 7).entries.values()]
        assert starts == sorted(starts)

    @pytest.mark.parametrize("seed", SEEDS)
    def test_windows_lie_between_second_8_and_50_without_overlap(self, seed: int) -> None:
        """There is a calm time before the first and after the last, and one cause at a time between."""
        edges = [edge for window in windows(build_schedule(60, seed)) for edge in window]
        assert edges == sorted(edges)
        assert edges[0] >= 8
        assert edges[-1] <= 50

    @pytest.mark.parametrize("seed", SEEDS)
    def test_every_window_lasts_at_least_five_seconds_of_sixty(self, seed: int) -> None:
        """A window holds many requests even with few users."""
        assert min(until - at for at, until in windows(build_schedule(60, seed))) >= 4.99

    def test_the_rename_comes_half_way_and_lasts_to_the_end(self) -> None:
        """Schema drift needs a baseline before it."""
        entries = [build_schedule(60, seed).entries["field_rename"] for seed in SEEDS]
        assert all(28 <= entry.at_s <= 31 and entry.until_s == 60 for entry in entries)

    @pytest.mark.parametrize("duration_s", [6, 20, 600])
    def test_times_scale_with_the_duration(self, duration_s: float) -> None:
        """A shorter run has the same story, faster."""
        plan, scaled = build_schedule(60, 7), build_schedule(duration_s, 7)
        expected = [(e.kind, round(e.at_s * duration_s / 60, 1)) for e in plan.entries.values()]
        actual = [(e.kind, pytest.approx(round(e.at_s, 1), abs=0.11)) for e in scaled.entries.values()]
        assert expected == actual

    @pytest.mark.parametrize("seed", SEEDS)
    def test_delays_exceed_the_limits_they_are_meant_to_break(self, seed: int) -> None:
        """Slow HTTP begins at 200 ms, slow MQTT at 50 ms."""
        entries = build_schedule(60, seed).entries
        assert 300 <= entries["latency_spike"].delay_ms <= 600
        assert 120 <= entries["slow_topic"].delay_ms <= 200

    @pytest.mark.parametrize("duration_s", [0, -1, float("nan")])
    def test_a_duration_that_is_not_positive_is_refused(self, duration_s: float) -> None:
        """No schedule fits into no time."""
        with pytest.raises(ValueError, match="above 0"):
            build_schedule(duration_s, 7)


class TestActive:
    """`Schedule.active`."""

    def test_a_window_begins_at_its_start_and_excludes_its_end(self) -> None:
        """Both edges, and just outside of each."""
        schedule = build_schedule(60, 7)
        entry = schedule.entries["rate_limit"]
        moments = [entry.at_s - 0.01, entry.at_s, entry.until_s - 0.01, entry.until_s]
        actual = [schedule.active("rate_limit", moment) for moment in moments]
        assert [None, entry, entry, None] == actual

    def test_a_renamed_field_stays_renamed_after_the_end(self) -> None:
        """A target that is still up keeps the new name."""
        schedule = build_schedule(60, 7)
        assert schedule.entries["field_rename"] == schedule.active("field_rename", 1000)

    def test_nothing_is_active_before_the_first_request(self) -> None:
        """The clock stands at -1 until then."""
        schedule = build_schedule(60, 7)
        assert not any(schedule.active(kind, -1.0) for kind in schedule.entries)
