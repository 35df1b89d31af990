"""The results file."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from streamlab_plugin.core.errors import ConfigError
from streamlab_plugin.core.ledger import Ledger
from streamlab_plugin.slo.results import RunHeader, parse_results, results_dict
from streamlab_plugin.slo.verdict import ProtocolFacts, RunFacts

HEADER = RunHeader("3f0c", "demo", 1_700_000_000.0, 1_700_000_050.0)
FACTS = RunFacts(
    "finished",
    50.0,
    {
        "http": ProtocolFacts(1000, 5, 990, 3, 980, 87.5, 40.0, 120.0),
        "mqtt": ProtocolFacts(0, 0, 0, 0, 0, None),
    },
    Ledger(produced=1000, stored=990, spooled=1, pending=2, quarantined=3, dropped={"full": 4}, erased=5),
    ("a worker is missing",),
)

# What a run may well not have.
OPTIONAL = (
    ("ledger", "dropped", "full"),
    ("ledger", "erased"),
    ("protocols", "http"),
    ("protocols", "mqtt"),
    ("protocols", "http", "faulted"),
    ("protocols", "mqtt", "faulted"),
)


def document() -> dict[str, Any]:
    """Return the results document as read from a file."""
    found: dict[str, Any] = json.loads(json.dumps(results_dict(HEADER, FACTS)))
    return found


def changed(path: tuple[str, ...], value: object) -> dict[str, Any]:
    """Return the document with another value at *path*; ``...`` removes the key."""
    data = copy.deepcopy(document())
    place = data
    for key in path[:-1]:
        place = place[key]
    if value is ...:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    return data


def paths(data: dict[str, Any], before: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """Return the paths of all keys of a document."""
    found = []
    for key, value in data.items():
        found.append((*before, key))
        if isinstance(value, dict):
            found += paths(value, (*before, key))
    return found


class TestResults:
    """Written and read."""

    def test_round_trip(self) -> None:
        """What was exported is what is judged."""
        assert FACTS == parse_results(document())

    def test_rates(self) -> None:
        """The file says throughput and error rate too, and null where there is none."""
        protocols = document()["protocols"]
        assert (990 / 50, 5 / 997) == (protocols["http"]["throughput_rps"], protocols["http"]["error_rate"])
        assert (0.0, None) == (protocols["mqtt"]["throughput_rps"], protocols["mqtt"]["error_rate"])

    def test_later_keys(self) -> None:
        """A key that a later version adds is no error."""
        assert FACTS == parse_results({**document(), "notes": "x"})

    @pytest.mark.parametrize(
        "path", [path for path in paths(results_dict(HEADER, FACTS)) if path not in OPTIONAL], ids=".".join
    )
    def test_trap_missing_key(self, path: tuple[str, ...]) -> None:
        """A file that lacks something is an error, never a run that met its objectives."""
        with pytest.raises(ConfigError) as caught:
            parse_results(changed(path, ...))
        assert path[:-1] == caught.value.path
        assert 2 == caught.value.exit_code

    @pytest.mark.parametrize("data", [None, [], {}, "x", 5, {"run": {}}, {"streamlab_results": 2}])
    def test_trap_something_else(self, data: object) -> None:
        """What is no results document is an error that says how to get one."""
        with pytest.raises(ConfigError) as caught:
            parse_results(data)
        assert "streamlab runs export --json" in caught.value.remedy

    @pytest.mark.parametrize(
        ("path", "value"),
        [
            (("duration_s",), float("nan")),
            (("duration_s",), float("inf")),
            (("duration_s",), -1),
            (("duration_s",), None),
            (("duration_s",), "50"),
            (("run", "state"), 5),
            (("run", "started_at"), "yesterday"),
            (("protocols", "http", "p95_latency_ms"), float("nan")),
            (("protocols", "http", "p95_latency_ms"), "87"),
            (("protocols", "http", "error_rate"), float("nan")),
            (("protocols", "http", "count"), -1),
            (("protocols", "http", "count"), 10.5),
            (("protocols", "http", "count"), True),
            (("protocols", "http", "errors"), 998),
            (("protocols", "http", "answered"), 1001),
            (("protocols", "http", "latency_samples"), 1001),
            (("protocols", "http"), []),
            (("protocols", "gopher"), {}),
            (("ledger", "stored"), None),
            (("ledger", "dropped"), 4),
            (("ledger", "dropped", "full"), 0.5),
            (("problems",), "none"),
        ],
    )
    def test_malformed(self, path: tuple[str, ...], value: object) -> None:
        """A wrong value is refused with its place."""
        with pytest.raises(ConfigError) as caught:
            parse_results(changed(path, value))
        assert path == caught.value.path
