"""Distributions: seeded, and of the shape that their names promise."""

from __future__ import annotations

import random
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamlab_plugin.scenario.distribution import Constant, Distribution, Exponential, Lognormal, Uniform

DRAWS = 4000


def draws(distribution: Distribution, seed: int = 1) -> list[float]:
    """Return values of *distribution*."""
    rng = random.Random(seed)
    return [distribution.sample(rng) for _ in range(DRAWS)]


class TestSample:
    """Values that are drawn."""

    @pytest.mark.parametrize("one", [Uniform(1, 3), Exponential(2), Lognormal(2, 0.5)])
    def test_the_seed_decides(self, one: Distribution) -> None:
        """The same seed gives the same values, another one others."""
        assert draws(one) == draws(one)
        assert draws(one) != draws(one, seed=2)

    def test_constant(self) -> None:
        """A constant is always the same."""
        assert {2.5} == set(draws(Constant(2.5)))

    def test_uniform(self) -> None:
        """Values stay within the bounds, and their mean is the middle."""
        found = draws(Uniform(1, 3))
        assert 1 <= min(found) <= max(found) <= 3
        assert pytest.approx(2, rel=0.03) == statistics.fmean(found)

    def test_exponential(self) -> None:
        """The mean is the one given, and so is the standard deviation."""
        found = draws(Exponential(2))
        assert pytest.approx(2, rel=0.06) == statistics.fmean(found)
        assert pytest.approx(2, rel=0.1) == statistics.stdev(found)

    def test_lognormal(self) -> None:
        """Half of the values are below the median, and 84 % below one sigma more."""
        found = sorted(draws(Lognormal(2, 0.5)))
        assert pytest.approx(2, rel=0.05) == statistics.median(found)
        assert pytest.approx(2 * 2.718281828**0.5, rel=0.07) == found[int(0.8413 * DRAWS)]

    @given(st.floats(0.001, 1e6), st.floats(0, 5), st.integers())
    def test_nothing_takes_less_than_no_time(self, middle: float, sigma: float, seed: int) -> None:
        """No distribution gives a value below 0."""
        rng = random.Random(seed)
        for one in (Constant(middle), Uniform(0, middle), Exponential(middle), Lognormal(middle, sigma)):
            assert one.sample(rng) >= 0
