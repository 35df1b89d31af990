from __future__ import annotations

from itertools import islice, pairwise

import pytest

from streamlab_plugin.core.errors import ConfigError
from streamlab_plugin.core.schedule import Schedule, parse_schedule


def offsets(text: str, since_s: float = 0.0) -> list[float]:
    """Return all arrivals of a schedule."""
    return [offset_s for _number, offset_s in parse_schedule(text).arrivals(since_s)]


class TestSchedule:
    """`Schedule`."""

    @pytest.mark.parametrize(
        ("expected", "text"),
        [
            (2000, "200/s for 10s"),
            (600, "600/min for 1m"),
            (1, "1/h for 1h"),
            (1, "3/s for 100ms"),
            (3750, "0..500/s over 15s"),
            (37_500, "0..500/s over 30s, 500/s for 60s"),
            (300, "100/s for 1s, 0/s for 5s, 200/s for 1s"),
            (500, "100..0/s over 10s"),
        ],
    )
    def test_number_of_arrivals(self, expected: int, text: str) -> None:
        """It is the integral of the rate; the first arrival is due at once."""
        assert expected == len(offsets(text))

    def test_a_constant_rate_has_equal_intervals_without_end(self) -> None:
        """The ten-millionth arrival is where it belongs: nothing adds up."""
        schedule = parse_schedule("300/s")
        assert [0.0, 1 / 300, 2 / 300] == [offset for _, offset in islice(schedule.arrivals(), 3)]
        assert 10_000_000 / 300 == schedule.offset_s(10_000_000)

    @pytest.mark.parametrize("text", ["0..500/s over 30s", "500..0/s over 30s", "100..101/s over 1h"])
    def test_a_ramp_is_inverted(self, text: str) -> None:
        """The integral at each arrival's moment is its number."""
        schedule = parse_schedule(text)
        for number, offset_s in islice(schedule.arrivals(), 0, None, 97):
            assert number == pytest.approx(schedule.area(offset_s), abs=1e-6)

    def test_a_pause_has_none(self) -> None:
        """Arrivals go on behind it."""
        found = offsets("100/s for 1s, 0/s for 5s, 200/s for 1s")
        assert (0.99, 6.0, 6.005) == pytest.approx(tuple(found[99:102]))

    @pytest.mark.parametrize("text", ["0..90/s over 30s, 90/s for 9s", "100/s for 40s, poisson, seed 4"])
    @pytest.mark.parametrize("since_s", [0.0, 0.5, 12.34, 30.0, 39.5, 50.0])
    def test_from_a_moment_on(self, text: str, since_s: float) -> None:
        """Who joins late sees the same numbers and moments as who was there."""
        schedule = parse_schedule(text)
        later = [one for one in schedule.arrivals() if one[1] >= since_s]
        assert later == list(schedule.arrivals(since_s))

    def test_poisson(self) -> None:
        """As many as expected, in order, and as irregular: the intervals' deviation equals their mean."""
        found = offsets("0..200/s over 10s, 200/s for 100s, poisson")
        assert 21_000 == pytest.approx(len(found), rel=0.03)
        assert sorted(found) == found
        gaps = [after - before for before, after in pairwise(offset for offset in found if offset > 10)]
        mean = sum(gaps) / len(gaps)
        assert mean == pytest.approx((sum((gap - mean) ** 2 for gap in gaps) / len(gaps)) ** 0.5, rel=0.05)

    def test_the_seed_decides(self) -> None:
        """The same one gives the same moments, another one others."""
        one, same, other = (offsets(f"50/s for 20s, poisson, seed {seed}") for seed in (1, 1, 2))
        assert one == same
        assert one != other


class TestParse:
    """`parse_schedule`."""

    def test_text_is_kept(self) -> None:
        """For people."""
        text = "0..5/s over 1m30s, Poisson, seed 9"
        found: Schedule = parse_schedule(text)
        assert (text, True, 9, 90.0) == (found.text, found.is_poisson, found.seed, found.length_s)

    @pytest.mark.parametrize(
        ("said", "text"),
        [
            ("'fast' is no step", "fast"),
            ("'' is no step", ""),
            ("'20 for 5s' is no step", "20 for 5s"),
            ("no rate", "poisson"),
            ("no arrivals", "0/s for 5s"),
            ("never ends", "0/s"),
            ("has no length", "0..5/s"),
            ("nothing can follow", "5/s, 6/s for 1s"),
            ("'10x' is no length of time", "5/s for 10x"),
            ("'0s' is no length of time", "5/s for 0s"),
            ("too high", "2000000/s for 1s"),
        ],
    )
    def test_what_is_no_schedule(self, said: str, text: str) -> None:
        """One sentence with the value and a remedy."""
        with pytest.raises(ConfigError, match=said) as caught:
            parse_schedule(text)
        assert caught.value.remedy
