"""A fault: what is read, and what it can strike. What is refused is in `scenario_corpus`."""

from __future__ import annotations

import math
from typing import Any

import pytest

from streamlab_plugin.core.errors import ConfigError
from streamlab_plugin.scenario.distribution import Uniform
from streamlab_plugin.scenario.fault import Change, Fault
from streamlab_plugin.scenario.fault_form import KINDS, OPERATIONS, parse_fault

NEEDED: dict[str, dict[str, Any]] = {"delay": {"delay_ms": 5}, "slow_consumer": {"delay_ms": 5}}
SENT = {"send", "request", "publish"}
METHODS = set(OPERATIONS["http"])


class TestParseFault:
    def test_least(self) -> None:
        """Without more said, a fault always strikes all operations."""
        assert Fault("malformed", 1, (), 0, math.inf, {}, "") == parse_fault({"kind": "malformed"})

    @pytest.mark.parametrize(
        ("kind", "expected"),
        [
            ("drop_connection", {"when": "after"}),
            ("duplicate", {"copies": 1}),
            ("reorder", {"depth": 1, "hold_ms": 1000}),
            ("truncate", {"keep_ratio": 0.5}),
            ("corrupt", {"byte_count": 1}),
            ("schema_drift", {"changes": (Change("add", "unexpected_field", "drift"),)}),
            ("malformed", {}),
        ],
    )
    def test_defaults(self, kind: str, expected: dict[str, Any]) -> None:
        """Parameters that are not given have their default."""
        assert expected == parse_fault({"kind": kind}).parameters

    def test_everything(self) -> None:
        """Lists may be tuples, as they are in Python, and keys and kinds have their older names."""
        fault = parse_fault(
            {"id": "slow", "kind": "networkDelays", "operations": ("GET",), "fromS": 5, "untilS": 9,
             "rangeMs": (40, 50)}
        )  # fmt: skip
        assert Fault("delay", 1, ("GET",), 5, 9, {"delay_ms": Uniform(40, 50)}, "slow") == fault
        assert "slow:delay" == fault.label

    def test_refused(self) -> None:
        """The error leads to the key at fault."""
        with pytest.raises(ConfigError) as caught:
            parse_fault({"kind": "corrupt", "flips": 2}, ("faults", 3))
        assert ("faults", 3, "flips") == caught.value.problems[0].path

    @pytest.mark.parametrize("kind", KINDS)
    def test_every_kind_has_its_operations(self, kind: str) -> None:
        """Requests of HTTP have no order, and what comes unasked can only be read late."""
        fault = parse_fault({"kind": kind, **NEEDED.get(kind, {})})
        expected = {"reorder": SENT, "slow_consumer": SENT | METHODS | {"push", "deliver"}}
        every = {operation for operations in OPERATIONS.values() for operation in operations}
        assert expected.get(kind, SENT | METHODS) == {one for one in every if fault.applies_to(one)}

    @pytest.mark.parametrize("kind", KINDS)
    def test_only_its_operations(self, kind: str) -> None:
        """Operations that are named are the only ones."""
        fault = parse_fault({"kind": kind, "operations": ["send"], **NEEDED.get(kind, {})})
        assert [True, False] == [fault.applies_to(one) for one in ("send", "publish")]
