"""Buckets for coordinates, numbers and times."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamlab_plugin.privacy.bucket import Bucket, bucketer
from streamlab_plugin.privacy.scalar import DROPPED

DEGREES, STEP, MINUTES = Bucket("degrees", 0.1), Bucket("step", 10), Bucket("minutes", 15)


class TestBucketer:
    """`bucketer`."""

    @pytest.mark.parametrize(
        ("bucket", "value", "expected"),
        [
            (DEGREES, 37.774929, 37.8),
            (DEGREES, "37.774929", "37.8"),
            (DEGREES, -0.01, 0.0),
            (DEGREES, 180, 180.0),
            (STEP, 47, 40),
            (STEP, -3, -10),
            (STEP, 47.9, 40.0),
            (STEP, "47", "40.0"),
            (Bucket("step", 0.5), 2.74, 2.5),
            (MINUTES, 1_760_000_123, 1_759_999_500),
            (MINUTES, 1_760_000_123.75, 1_759_999_500.0),
            (MINUTES, 1_760_000_123_456, 1_759_999_500_000),
            (MINUTES, "2026-11-22T03:29:59Z", "2026-11-22T03:15:00Z"),
            (MINUTES, "2026-11-22T03:29:59.5+05:30", "2026-11-22T03:15:00+05:30"),
            (MINUTES, "2026-11-22", "2026-11-22T00:00:00"),
            (Bucket("minutes", 1440), "2026-11-22T23:59:59+05:30", "2026-11-22T00:00:00+05:30"),
        ],
    )
    def test_value(self, bucket: Bucket, value: object, expected: object) -> None:
        """Coordinates go to the nearest multiple, numbers and times down; the type stays."""
        found = bucketer(bucket)(value)
        assert (expected, type(expected)) == (found, type(found))

    @pytest.mark.parametrize("bucket", [DEGREES, STEP, MINUTES])
    @pytest.mark.parametrize("value", [True, "x", "nan", "1e999", "7" * 65, b"1", [1], {}, 10**30, "N37°"])
    def test_what_is_no_such_value_is_dropped(self, bucket: Bucket, value: object) -> None:
        """It may be precise in another form."""
        assert bucketer(bucket)(value) is DROPPED

    @pytest.mark.parametrize("bucket", [DEGREES, STEP, MINUTES])
    @pytest.mark.parametrize("value", [None, float("nan"), float("-inf")])
    def test_nothing_stays_nothing(self, bucket: Bucket, value: object) -> None:
        """Null, NaN and infinities are null."""
        assert bucketer(bucket)(value) is None

    @pytest.mark.parametrize(
        ("bucket", "value"), [(DEGREES, 180.5), (DEGREES, -1e9), (MINUTES, -1), (MINUTES, 10**15)]
    )
    def test_out_of_range(self, bucket: Bucket, value: float) -> None:
        """No coordinate lies beyond ±180, no time before 1970."""
        assert bucketer(bucket)(value) is DROPPED

    @given(
        st.one_of(st.floats(), st.integers(), st.text(), st.none(), st.booleans(), st.floats(-200, 200)),
        st.sampled_from([0.001, 0.01, 0.1, 0.3, 0.7, 1.0, 2.5, 7.0, 10.0, 60.0]),
    )
    def test_twice_as_once(self, value: object, size: float) -> None:
        """What is coarse stays as it is, whatever floats make of a multiple; nothing raises."""
        for kind in ("degrees", "step", "minutes"):
            least = {"degrees": 0.1, "step": size, "minutes": math.ceil(size)}[kind]
            make_coarse = bucketer(Bucket(kind, max(size, least)))
            once = make_coarse(value)
            if once is not DROPPED:
                assert once == make_coarse(once)

    @given(st.integers(0, 4_000_000_000_000), st.sampled_from([1, 15, 60]))
    def test_never_later(self, value: int, minutes: int) -> None:
        """A time goes down to its bucket, by less than its width."""
        made = bucketer(Bucket("minutes", minutes))(value)
        assert isinstance(made, int)
        assert 0 <= value - made < minutes * (60 if value < 100_000_000_000 else 60_000)

    def test_text(self) -> None:
        """A bucket says how wide it is."""
        assert ["0.1°", "steps of 10", "15 min"] == [str(one) for one in (DEGREES, STEP, MINUTES)]
