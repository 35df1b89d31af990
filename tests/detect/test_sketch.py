"""The mergeable latency distribution."""

from __future__ import annotations

import numpy as np
import pytest

from streamlab_plugin.detect.sketch import POOLED, Pool, Sketch, exceeds


class TestSketch:
    """Percentiles stay close, also through bytes and merges."""

    def test_empty(self) -> None:
        """Without data there is no percentile."""
        assert Sketch().percentile(95) is None

    def test_round_trip(self) -> None:
        """A stored sketch answers as before."""
        sketch = Sketch()
        sketch.add([1.0, 2.0, 3.0])
        again = Sketch.from_bytes(sketch.to_bytes())
        assert (3, 3.0) == (again.count, again.percentile(100))

    def test_exceeds(self) -> None:
        """A limit is compared in the sketch's own precision."""
        assert not exceeds(float(np.float32(100.1)), 100.1)
        assert exceeds(float(np.nextafter(np.float32(100.1), np.float32(200))), 100.1)


def _pool(values: np.ndarray, parts: int) -> Pool:
    pool = Pool()
    for part in np.array_split(values, parts):
        sketch = Sketch()
        sketch.add(part.tolist())
        pool.add(sketch.to_bytes())
    return pool


class TestPool:
    """Several sketches as one distribution."""

    VALUES = np.random.default_rng(7).lognormal(3, 1, 20_000)

    @pytest.mark.parametrize("parts", [1, 10, POOLED, POOLED + 1, 200])
    @pytest.mark.parametrize("percent", [50, 95, 99])
    def test_percentiles_are_close(self, percent: float, parts: int) -> None:
        """Within 1 % of the exact rank, pooled or merged."""
        [found] = _pool(self.VALUES, parts).percentiles(percent)
        assert found is not None
        assert percent == pytest.approx(100 * np.mean(found >= self.VALUES), abs=1.0)

    def test_few_sketches_answer_the_same_each_time(self) -> None:
        """A verdict near a limit does not change when it is asked for again."""
        blobs = []
        for part in np.array_split(self.VALUES, 20):
            sketch = Sketch()
            sketch.add(part.tolist())
            blobs.append(sketch.to_bytes())
        answers = set()
        for _ in range(20):
            pool = Pool()
            for blob in blobs:
                pool.add(blob)
            answers.add(tuple(pool.percentiles(50, 95, 99)))
        assert 1 == len(answers)

    def test_a_single_value_is_every_percentile(self) -> None:
        """Also at both ends."""
        assert [12.5, 12.5, 12.5] == _pool(np.array([12.5]), 1).percentiles(1, 50, 100)

    def test_empty(self) -> None:
        """Without data there is no percentile."""
        assert [None, None] == Pool().percentiles(50, 95)
