"""How long something takes, drawn at random. The unit is that of the field: seconds to think, ms of delay."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Constant:
    """Always the same."""

    value: float

    def sample(self, _rng: random.Random) -> float:
        """Return the value."""
        return self.value


@dataclass(frozen=True, slots=True)
class Uniform:
    """Anything from *low* to *high*, all equally likely."""

    low: float
    high: float

    def sample(self, rng: random.Random) -> float:
        """Draw a value."""
        return rng.uniform(self.low, self.high)


@dataclass(frozen=True, slots=True)
class Exponential:
    """The gaps between events that know nothing of each other; *mean* is above 0."""

    mean: float

    def sample(self, rng: random.Random) -> float:
        """Draw a value."""
        return rng.expovariate(1.0 / self.mean)


@dataclass(frozen=True, slots=True)
class Lognormal:
    """Mostly short, at times long, as people are; *median* is above 0, *sigma* that of the logarithm."""

    median: float
    sigma: float

    def sample(self, rng: random.Random) -> float:
        """Draw a value."""
        return rng.lognormvariate(math.log(self.median), self.sigma)


Distribution = Constant | Uniform | Exponential | Lognormal
