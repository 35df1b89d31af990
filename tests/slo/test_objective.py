"""Objectives: what is read, and what is refused where."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from streamlab_plugin.core.errors import ConfigError
from streamlab_plugin.slo.objective import Objectives, parse_objectives

SLO_FILE = Path(__file__).parents[2] / "rules" / "slo.yaml"
HTTP = {"max_error_rate": 0.005, "max_p95_latency_ms": 300, "min_throughput_rps": 20}


class TestParseObjectives:
    """The document of objectives."""

    def test_packaged(self) -> None:
        """The shipped objectives are the documented defaults."""
        assert Objectives(
            {
                "websocket": {"max_error_rate": 0.01, "max_p95_latency_ms": 100, "min_throughput_rps": 10},
                "mqtt": {"max_error_rate": 0.02, "max_p95_latency_ms": 200, "min_throughput_rps": 5},
                "http": HTTP,
            },
            50,
        ) == parse_objectives(yaml.safe_load(SLO_FILE.read_text()))

    def test_some(self) -> None:
        """A protocol may have one objective only, and min_samples its default."""
        data = {"objectives": {"http": {"max_error_rate": 0}}}
        assert Objectives({"http": {"max_error_rate": 0}}, 50) == parse_objectives(data)

    @pytest.mark.parametrize(
        ("document", "path", "what", "remedy"),
        [
            (None, (), "expected keys and values, got nothing", ""),
            ([], (), "expected keys and values", ""),
            ({}, ("objectives",), "expected keys and values, got nothing", ""),
            ({"objective": {}}, ("objective",), "unknown key 'objective'", "did you mean 'objectives'?"),
            ({"objectives": {}}, ("objectives",), "there is no objective", "protocol"),
            (
                {"objectives": {"htpp": HTTP}},
                ("objectives", "htpp"),
                "unknown key 'htpp'",
                "did you mean 'http'?",
            ),
            ({"objectives": {"http": {}}}, ("objectives", "http"), "there is no objective", "max_error_rate"),
            ({"objectives": {"http": 5}}, ("objectives", "http"), "expected keys and values, got 5", ""),
            (
                {"objectives": {"http": {"max_p99_latency_ms": 5}}},
                ("objectives", "http", "max_p99_latency_ms"),
                "unknown key",
                "did you mean 'max_p95_latency_ms'?",
            ),
        ],
    )
    def test_refused(self, document: object, path: tuple[str, ...], what: str, remedy: str) -> None:
        """The error leads to the key at fault."""
        with pytest.raises(ConfigError) as caught:
            parse_objectives(document)
        assert path == caught.value.path
        assert what in caught.value.what
        assert remedy in caught.value.remedy

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("max_error_rate", 1.5),
            ("max_error_rate", -0.1),
            ("max_error_rate", "1 %"),
            ("max_error_rate", True),
            ("max_error_rate", None),
            ("max_p95_latency_ms", float("nan")),
            ("max_p95_latency_ms", float("inf")),
            ("min_throughput_rps", -1),
        ],
    )
    def test_refused_value(self, name: str, value: Any) -> None:
        """A limit must be a finite number in its range."""
        with pytest.raises(ConfigError) as caught:
            parse_objectives({"objectives": {"http": {name: value}}})
        assert ("objectives", "http", name) == caught.value.path

    @pytest.mark.parametrize("value", ["yes", 1, None])
    def test_refused_switch(self, value: Any) -> None:
        """include_injected_faults is true or false, and false where it is not said."""
        assert not parse_objectives({"objectives": {"http": HTTP}}).include_injected_faults
        with pytest.raises(ConfigError, match="expected true or false") as caught:
            parse_objectives({"objectives": {"http": HTTP}, "include_injected_faults": value})
        assert ("include_injected_faults",) == caught.value.path

    @pytest.mark.parametrize("value", [0, 2.5, "50", None, True])
    def test_refused_min_samples(self, value: Any) -> None:
        """min_samples is a whole number from 1 on."""
        with pytest.raises(ConfigError) as caught:
            parse_objectives({"objectives": {"http": HTTP}, "min_samples": value})
        assert ("min_samples",) == caught.value.path
