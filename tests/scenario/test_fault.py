"""A fault: what is read, and what is refused where."""

from __future__ import annotations

import math
from typing import Any

import pytest

from streamlab_plugin.core.errors import ConfigError
from streamlab_plugin.scenario.declared import KINDS, OPERATIONS, Fault, parse_fault

LEAST: dict[str, Any] = {"id": "f", "kind": "duplicate", "probability": 0.5}
DRIFT: dict[str, Any] = {**LEAST, "kind": "schema_drift", "action": "remove", "path": "a.b"}


class TestParseFault:
    def test_least(self) -> None:
        """Without more said, a fault strikes all operations at all times."""
        fault = parse_fault(LEAST)
        assert Fault("f", "duplicate", 0.5, frozenset(), 0.0, math.inf, {}) == fault
        assert "f:duplicate" == fault.label

    def test_everything(self) -> None:
        """Operations may be one name; parameters that are not given have their default."""
        fault = parse_fault(
            {"id": "slow", "kind": "delay", "probability": 1, "operations": "GET", "from_s": 5, "until_s": 9,
             "distribution": "lognormal", "delay_ms": 40}
        )  # fmt: skip
        assert (frozenset({"GET"}), 5.0, 9.0) == (fault.operations, fault.from_s, fault.until_s)
        assert {"distribution": "lognormal", "delay_ms": 40.0, "max_ms": None, "sigma": 0.5} == dict(
            fault.parameters
        )

    @pytest.mark.parametrize("kind", KINDS)
    def test_every_kind_has_its_operations(self, kind: str) -> None:
        """Reordering makes no sense where each request has a connection of its own."""
        needs = {"schema_drift": {"action": "remove", "path": "a"}}.get(kind, {})
        fault = parse_fault({**LEAST, "kind": kind, **needs})
        expected = {"send", "request", "publish"} if kind == "reorder" else OPERATIONS
        assert expected == {operation for operation in OPERATIONS if fault.applies_to(operation)}

    @pytest.mark.parametrize(
        ("data", "path", "what", "remedy"),
        [
            (None, (), "expected keys and values, got nothing", ""),
            ({**LEAST, "kind": "deley"}, ("kind",), "unknown kind 'deley'", "did you mean 'delay'?"),
            ({"id": "f", "kind": "delay"}, (), "'probability' is missing", "add"),
            ({**LEAST, "probability": 5}, ("probability",), "5 is out of range", "from 0 to 1"),
            ({**LEAST, "probability": True}, ("probability",), "expected a number, got True", ""),
            ({**LEAST, "probability": math.nan}, ("probability",), "expected a number, got nan", ""),
            ({**LEAST, "id": "a b"}, ("id",), "'a b' is no id", "at most 40"),
            ({**LEAST, "id": "x" * 41}, ("id",), "is no id", "at most 40"),
            ({**LEAST, "delay_ms": 5}, ("delay_ms",), "unknown key 'delay_ms'", "known: id"),
            ({**LEAST, "operations": ["sendd"]}, ("operations",), "'sendd'", "did you mean 'send'?"),
            ({**LEAST, "operations": 5}, ("operations",), "expected names of operations, got 5", ""),
            ({**LEAST, "kind": "reorder", "operations": "GET"}, ("operations",), "no order", "another"),
            ({**LEAST, "from_s": 5, "until_s": 5}, ("until_s",), "5 is not after from_s 5", ""),
            ({**LEAST, "kind": "delay", "distribution": "uniform"}, (), "'max_ms' is missing", "add"),
            ({**LEAST, "kind": "delay", "max_ms": 5}, ("max_ms",), "5 is less than delay_ms", ""),
            ({**LEAST, "kind": "corrupt", "flips": 0}, ("flips",), "whole number from 1, got 0", ""),
            ({**LEAST, "kind": "schema_drift", "path": "a"}, (), "'action' is missing", "add"),
            ({**DRIFT, "path": "a..b"}, ("path",), "expected a path, got 'a..b'", "user.address"),
            ({**DRIFT, "to": "x"}, ("to",), "becomes nothing", "drop"),
            ({**DRIFT, "action": "rename"}, ("to",), "expected the new name, got nothing", ""),
            ({**DRIFT, "action": "retype", "to": "text"}, ("to",), "unknown type 'text'", "string"),
            ({**DRIFT, "action": "add", "to": {"a": {1}}}, ("to",), "has no place in JSON", ""),
        ],
    )  # fmt: skip
    def test_refused(self, data: Any, path: tuple[str, ...], what: str, remedy: str) -> None:
        """The error leads to the key at fault."""
        with pytest.raises(ConfigError) as caught:
            parse_fault(data, ("faults", 3))
        assert ("faults", 3, *path) == caught.value.path
        assert what in caught.value.what
        assert remedy in caught.value.remedy
