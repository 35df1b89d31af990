"""When arrivals are due: a rate over time, turned into moments.

The moments come from inverting the integral of the rate, each from its own number: nothing adds up, so that
the millionth arrival is as exact as the first. A Poisson process does the same with random areas in place of
whole numbers; it is drawn in blocks of their own seed each, so that a process that joins late need not draw
what came before.
"""

from __future__ import annotations

import bisect
import math
import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

from streamlab_plugin.core.errors import ConfigError

# Area (expected arrivals) that one block of a Poisson process covers.
BLOCK = 256
LIMIT_PER_S = 1_000_000
_EXAMPLE = "write e.g. '200/s for 10s' or '0..500/s over 30s, 500/s for 60s, poisson, seed 7'"
_NUMBER = r"\d+(?:\.\d+)?"
_STEP = re.compile(
    rf"({_NUMBER})(?:\s*\.\.\s*({_NUMBER}))?\s*/\s*(s|min|h)(?:\s+(?:for|over)\s+(\S.*))?", re.IGNORECASE
)
_DURATION = re.compile(rf"({_NUMBER})\s*(ms|s|min|m|h)\s*", re.IGNORECASE)
_UNIT_S = {
    "ms": Fraction(1, 1000),
    "s": Fraction(1),
    "min": Fraction(60),
    "m": Fraction(60),
    "h": Fraction(3600),
}


@dataclass(frozen=True, slots=True)
class Step:
    """A rate that goes evenly from *begin_per_s* to *end_per_s* within *length_s*; None: without end."""

    begin_per_s: Fraction
    end_per_s: Fraction
    length_s: Fraction | None

    @property
    def area(self) -> Fraction | None:
        """How many arrivals it stands for, None if it has no end."""
        return None if self.length_s is None else (self.begin_per_s + self.end_per_s) / 2 * self.length_s


class Schedule:
    """Arrivals as offsets from the start, in seconds.

    Args:
        steps: One after the other; only the last may be without end.
        is_poisson: Random moments at these rates instead of even ones.
        seed: Of the random moments; the same seed gives the same ones.
        text: As a person wrote it.
    """

    def __init__(
        self, steps: Sequence[Step], *, is_poisson: bool = False, seed: int = 0, text: str = ""
    ) -> None:
        self.text = text
        self.is_poisson = is_poisson
        self.seed = seed
        begins_s, areas = [Fraction(0)], [Fraction(0)]
        for step in steps[:-1]:
            assert step.length_s is not None
            assert step.area is not None
            begins_s.append(begins_s[-1] + step.length_s)
            areas.append(areas[-1] + step.area)
        last = steps[-1]
        self._begins_s = [float(begin) for begin in begins_s]
        self._areas = [float(area) for area in areas]
        self._rates = [float(step.begin_per_s) for step in steps]
        self._slopes = [
            float((step.end_per_s - step.begin_per_s) / step.length_s) if step.length_s else 0.0
            for step in steps
        ]
        self.length_s = math.inf if last.length_s is None else float(begins_s[-1] + last.length_s)
        total = None if last.area is None else areas[-1] + last.area
        self._area = math.inf if total is None else float(total)
        # Whole numbers below the area: the first arrival is due at once.
        self._count = math.inf if total is None else math.ceil(total)

    def offset_s(self, area: float) -> float:
        """Return when the integral of the rate reaches *area*; for even arrivals, number k is at area k."""
        at = bisect.bisect_right(self._areas, area) - 1
        rest, rate, slope = area - self._areas[at], self._rates[at], self._slopes[at]
        if rest <= 0.0:
            return self._begins_s[at]
        # The form of the quadratic's root that stays exact for a slope near 0 of either sign.
        root = math.sqrt(max(0.0, rate * rate + 2.0 * slope * rest))
        return self._begins_s[at] + 2.0 * rest / (rate + root)

    def area(self, offset_s: float) -> float:
        """Return the integral of the rate from 0 to *offset_s*: how many arrivals are expected by then."""
        offset_s = min(max(0.0, offset_s), self.length_s)
        at = bisect.bisect_right(self._begins_s, offset_s) - 1
        past = offset_s - self._begins_s[at]
        return self._areas[at] + past * (self._rates[at] + self._slopes[at] * past / 2.0)

    def arrivals(self, since_s: float = 0.0) -> Iterator[tuple[int, float]]:
        """Yield (number, offset in seconds) from *since_s* on, in order; processes share them by number.

        Numbers of neighbours differ by one, but for the blocks of a Poisson process, which begin anew.
        """
        if self.is_poisson:
            yield from self._poisson(since_s)
            return
        number = max(0, math.floor(self.area(since_s)) - 1)
        while number < self._count:
            offset = self.offset_s(number)
            if offset >= since_s:
                yield number, offset
            number += 1

    def _poisson(self, since_s: float) -> Iterator[tuple[int, float]]:
        block = int(self.area(since_s) // BLOCK)
        while block * BLOCK < self._area:
            rng = random.Random(f"{self.seed} {block}")
            # Memoryless: beginning anew at each block changes nothing about the process.
            area, end, number = float(block * BLOCK), (block + 1) * BLOCK, block
            while (area := area + rng.expovariate(1.0)) < end:
                if area >= self._area:
                    return
                offset = self.offset_s(area)
                if offset >= since_s:
                    yield number, offset
                number += 1
            block += 1


def parse_schedule(text: str) -> Schedule:
    """Return the schedule that *text* describes, e.g. ``0..500/s over 30s, 500/s for 60s, poisson, seed 7``.

    Raises:
        ConfigError: It describes none.
    """
    steps: list[Step] = []
    is_poisson, seed = False, 0
    for part in (one.strip() for one in text.split(",")):
        if part.lower() == "poisson":
            is_poisson = True
        elif found := re.fullmatch(r"seed\s+(\d+)", part, re.IGNORECASE):
            seed = int(found[1])
        else:
            if steps and steps[-1].length_s is None:
                raise ConfigError(
                    f"nothing can follow a step without end in the schedule {text!r}",
                    remedy="give it a length, e.g. 'for 10s'",
                )
            steps.append(_step(part, text))
    if not steps:
        raise ConfigError(f"the schedule {text!r} has no rate", remedy=_EXAMPLE)
    if not any(step.begin_per_s or step.end_per_s for step in steps):
        raise ConfigError(f"the schedule {text!r} has no arrivals", remedy="use a rate above 0")
    return Schedule(steps, is_poisson=is_poisson, seed=seed, text=text)


def _step(part: str, text: str) -> Step:
    found = _STEP.fullmatch(part)
    if found is None:
        raise ConfigError(f"{part!r} is no step of a schedule, in {text!r}", remedy=_EXAMPLE)
    unit_s = _UNIT_S[found[3].lower()]
    begin = Fraction(found[1]) / unit_s
    end = begin if found[2] is None else Fraction(found[2]) / unit_s
    if max(begin, end) > LIMIT_PER_S:
        raise ConfigError(
            f"the rate {part!r} is too high", remedy=f"use at most {LIMIT_PER_S:,} arrivals a second"
        )
    if found[4] is None:
        if begin != end:
            raise ConfigError(f"the ramp {part!r} has no length", remedy="give it one, e.g. 'over 30s'")
        if not begin:
            raise ConfigError(f"{part!r} never ends and has no arrivals", remedy="give it a length")
        return Step(begin, end, None)
    return Step(begin, end, _length_s(found[4], part))


def _length_s(text: str, part: str) -> Fraction:
    length, at = Fraction(0), 0
    for found in _DURATION.finditer(text):
        if found.start() != at:
            break
        length += Fraction(found[1]) * _UNIT_S[found[2].lower()]
        at = found.end()
    if at != len(text) or not length:
        raise ConfigError(
            f"{text!r} is no length of time, in {part!r}", remedy="write e.g. '500ms', '10s', '1m30s' or '1h'"
        )
    return length
