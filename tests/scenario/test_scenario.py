"""What a scenario says about each moment of its load."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamlab_plugin.scenario.scenario import Burst, HttpPart, MqttPart, Scenario, WebSocketPart


def scenario(**values: object) -> Scenario:
    """Return a scenario of 100 connections for 60 s, changed by *values*."""
    part = HttpPart(endpoint="http://h", messages_per_second=2)
    usual = {"name": "s", "protocol": "http", "parts": (part,), "connections": 100, "duration_seconds": 60}
    return Scenario(**{**usual, **values})  # type: ignore[arg-type]


class TestConnectionsAt:
    """How many connections there are."""

    @pytest.mark.parametrize(
        ("elapsed_s", "expected"),
        [(-1, 0), (0, 1), (5, 50), (10, 100), (30, 100), (50, 50), (55, 25), (60, 0)],
    )
    def test_ramps(self, elapsed_s: float, expected: int) -> None:
        """They come during the ramp up and leave during the ramp down."""
        assert expected == scenario(ramp_up_seconds=10, ramp_down_seconds=20).connections_at(elapsed_s)

    @pytest.mark.parametrize("elapsed_s", [0, 30, 59.9])
    def test_without_ramps(self, elapsed_s: float) -> None:
        """All are there from the beginning to the end."""
        assert 100 == scenario().connections_at(elapsed_s)

    @given(st.floats(0, 59.99), st.floats(0, 30), st.floats(0, 30), st.integers(1, 10_000))
    def test_bounds(self, elapsed_s: float, up_s: float, down_s: float, connections: int) -> None:
        """There is always somebody, and never more than all."""
        one = scenario(ramp_up_seconds=up_s, ramp_down_seconds=down_s, connections=connections)
        assert 1 <= one.connections_at(elapsed_s) <= connections


class TestRateFactorAt:
    """What bursts do to the rate."""

    @pytest.mark.parametrize(("elapsed_s", "expected"), [(0, 1), (10, 4), (14.9, 4), (15, 1), (40, 1)])
    def test_one_burst(self, elapsed_s: float, expected: float) -> None:
        """The rate is higher for its length, once."""
        assert expected == scenario(burst=Burst(4)).rate_factor_at(elapsed_s)

    @pytest.mark.parametrize(("elapsed_s", "expected"), [(9, 1), (12, 4), (16, 1), (31, 4), (36, 1), (50, 4)])
    def test_repeated(self, elapsed_s: float, expected: float) -> None:
        """It comes again."""
        assert expected == scenario(burst=Burst(4, every_seconds=20)).rate_factor_at(elapsed_s)

    def test_without(self) -> None:
        """Without a burst the rate is as given."""
        assert 1 == scenario().rate_factor_at(30)


class TestTotal:
    """What all connections do together."""

    def test_by_weight(self) -> None:
        """Each part has its share of the connections, and its own rate."""
        parts = (
            MqttPart(endpoint="mqtt://h", weight=3, messages_per_second=2),
            WebSocketPart(endpoint="ws://h", messages_per_second=0),
        )
        one = scenario(protocol="mixed", parts=parts)
        assert 150 == one.total_messages_per_second
        assert ("mqtt", "websocket") == one.protocols

    def test_think_time(self) -> None:
        """Where think time sets the pace, nobody knows the rate beforehand."""
        parts = (HttpPart(endpoint="http://h", messages_per_second=None),)
        assert scenario(parts=parts).total_messages_per_second is None
