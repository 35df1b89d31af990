"""The mergeable latency distribution."""

from __future__ import annotations

import numpy as np
import pytest

from streamlab_plugin.detect.sketch import Sketch, exceeds, merged


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

    @pytest.mark.parametrize("percent", [50, 95, 99])
    def test_merged(self, percent: float) -> None:
        """Merged parts answer within 1 % of the exact rank."""
        values = np.random.default_rng(7).lognormal(3, 1, 20_000)
        parts = []
        for part in np.array_split(values, 10):
            sketch = Sketch()
            sketch.add(part.tolist())
            parts.append(sketch.to_bytes())
        found = merged([*parts, None]).percentile(percent)
        assert found is not None
        assert percent == pytest.approx(100 * np.mean(values <= found), abs=1.0)

    def test_exceeds(self) -> None:
        """A limit is compared in the sketch's own precision."""
        assert not exceeds(float(np.float32(100.1)), 100.1)
        assert exceeds(float(np.nextafter(np.float32(100.1), np.float32(200))), 100.1)
