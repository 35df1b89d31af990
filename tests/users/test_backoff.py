from __future__ import annotations

import random

import pytest

from streamlab_plugin.users.backoff import Backoff

BOUNDS = [0.5, 1.0, 2.0, 4.0, 5.0, 5.0]


def delays(seed: str = "0:1", jitter: float = 1.0) -> list[float]:
    """Return the delay after each of six failures."""
    backoff = Backoff(0.5, 5.0, jitter=jitter, chance=random.Random(seed).random)
    found = []
    for _ in BOUNDS:
        backoff.failed()
        found.append(backoff.delay_s())
    return found


class TestBackoff:
    def test_doubles_up_to_the_most(self) -> None:
        """Without jitter the delays are the bounds."""
        assert delays(jitter=0.0) == BOUNDS

    def test_jitter_draws_from_zero(self) -> None:
        """With full jitter each delay is anything up to its bound, with half of it at least half."""
        for seed in map(str, range(50)):
            assert all(0.0 <= delay <= bound for delay, bound in zip(delays(seed), BOUNDS, strict=True))
            halves = zip(delays(seed, 0.5), BOUNDS, strict=True)
            assert all(bound / 2 <= delay <= bound for delay, bound in halves)
        assert pytest.approx(0.25, abs=0.05) == sum(delays(str(seed))[0] for seed in range(200)) / 200

    def test_seed(self) -> None:
        """The same seed gives the same delays, another one others."""
        assert delays("0:1") == delays("0:1")
        assert delays("0:1") != delays("0:2")

    def test_success_begins_anew(self) -> None:
        """After a success the first bound counts again, and before any failure there is none."""
        backoff = Backoff(0.5, 5.0, jitter=0.0)
        found = [backoff.delay_s()]
        for step in (backoff.failed, backoff.failed, backoff.succeeded, backoff.failed):
            step()
            found.append(backoff.delay_s())
        assert [0.0, 0.5, 1.0, 0.0, 0.5] == found
