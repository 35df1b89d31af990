"""Time begins with the first request."""

from __future__ import annotations

from streamlab_plugin.demo.schedule import build_schedule
from streamlab_plugin.demo.timeline import Timeline


class Clock:
    """A clock that the test moves."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


class TestTimeline:
    """`Timeline`."""

    def test_waits_for_the_first_request(self) -> None:
        """However late the first request comes, the schedule has not begun."""
        clock = Clock()
        timeline = Timeline(build_schedule(60, 7), clock)
        clock.now_s += 500
        assert (timeline.phase, timeline.elapsed_s, timeline.started_at) == ("waiting", -1.0, None)

    def test_only_the_first_begin_counts(self) -> None:
        """Each request calls it."""
        clock = Clock()
        timeline = Timeline(build_schedule(60, 7), clock)
        timeline.begin()
        clock.now_s += 5
        timeline.begin()
        assert timeline.elapsed_s == 5.0

    def test_names_what_is_active(self) -> None:
        """The description for people follows the clock."""
        clock = Clock()
        timeline = Timeline(build_schedule(60, 7), clock)
        timeline.begin()
        clock.now_s += timeline.schedule.entries["rate_limit"].at_s
        assert timeline.as_json()["active"] == ["rate_limit"]

    def test_is_done_after_the_duration(self) -> None:
        """The last phase."""
        clock = Clock()
        timeline = Timeline(build_schedule(60, 7), clock)
        timeline.begin()
        clock.now_s += 60
        assert timeline.phase == "done"
