"""What ``streamlab run`` is going to do: the scenario with the command line's changes, and its settings."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from streamlab_plugin import config
from streamlab_plugin.core.errors import ConfigError
from streamlab_plugin.privacy.policy import ALLOW_UNSAFE, extended_policy
from streamlab_plugin.scenario.document import COMMON
from streamlab_plugin.scenario.keys import spellings
from streamlab_plugin.scenario.scenario import Scenario

DEFAULT_CONNECTIONS = 10
DEFAULT_DURATION_S = 60.0
# What a scenario that expects nothing is judged by: failures of every request must not look like success.
DEFAULT_ERROR_RATE = 0.01
# Which protocol an endpoint of a scenario speaks, by the scheme of its URL.
_SCHEMES = {
    "http": ("http",), "https": ("http",), "mqtt": ("mqtt",), "mqtts": ("mqtt",),
    "ws": ("websocket", "mqtt"), "wss": ("websocket", "mqtt"),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Changes:
    """What the command line says instead of the scenario; None: what the scenario says."""

    endpoints: tuple[str, ...] = ()
    duration_s: float | None = None
    connections: int | None = None
    rate: float | None = None
    allow_unsafe: bool = False

    def keys(self) -> dict[str, Any]:
        """Return the scenario's keys that are changed."""
        given = {
            "duration_seconds": self.duration_s,
            "connections": self.connections,
            "messages_per_second": self.rate,
        }
        return {name: value for name, value in given.items() if value is not None}


@dataclass(frozen=True, slots=True)
class Plan:
    """A scenario, and the files in *folder* that Locust is started with."""

    scenario: Scenario
    folder: Path
    slo: Path
    privacy: Path | None
    allows_unsafe: bool

    @property
    def scenario_file(self) -> Path:
        """The scenario as it is run."""
        return self.folder / "scenario.json"


def from_file(path: Path, changes: Changes) -> dict[str, Any]:
    """Return the document of a scenario file, changed.

    Raises:
        ConfigError: The file is no scenario, or has no part for an endpoint.
    """
    config.read_scenario(
        path, allow_unsafe=changes.allow_unsafe
    )  # so that a mistake in it is shown with its line
    document: dict[str, Any] = dict(config.read_document(path, lambda data: data))  # type: ignore[call-overload]
    for name, value in changes.keys().items():
        _replace(document, name, value)
    for endpoint in changes.endpoints:
        _redirect(document, endpoint)
    return document


def from_options(protocol: str, changes: Changes) -> dict[str, Any]:
    """Return the document of a scenario that the command line describes.

    Raises:
        ConfigError: There is not exactly one endpoint.
    """
    if len(changes.endpoints) != 1:
        raise ConfigError("--protocol needs one --endpoint", remedy="add --endpoint URL")
    endpoint, own = urlsplit(changes.endpoints[0]), dict[str, Any]()
    if protocol == "http":
        own = {"method": "GET", "path": endpoint._replace(scheme="", netloc="").geturl() or "/"}
        endpoint = endpoint._replace(path="", query="", fragment="")
    return {
        "name": f"{protocol}-run",
        "protocol": protocol,
        "endpoint": endpoint.geturl(),
        **own,
        "connections": DEFAULT_CONNECTIONS,
        "duration_seconds": DEFAULT_DURATION_S,
        **changes.keys(),
    }


def write_plan(
    document: Mapping[str, Any], folder: Path, slo: Path | None, *, allow_unsafe: bool = False
) -> Plan:
    """Write what Locust will be started with, and return it.

    Args:
        document: The scenario.
        folder: Where the files go.
        slo: Objectives instead of those that the scenario expects.
        allow_unsafe: The redaction rules may keep what is always removed.

    Raises:
        ConfigError: The document is no scenario, or the configured policy is none.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "scenario.json").write_text(json.dumps(document, indent=2, default=str) + "\n")
    scenario = config.read_scenario(folder / "scenario.json", allow_unsafe=allow_unsafe)
    privacy = None
    if slo is None:
        slo = folder / "slo.json"
        slo.write_text(json.dumps(objectives(scenario), indent=2) + "\n")
    if scenario.pii_redaction_rules:
        privacy = folder / "privacy.json"
        rules = {name: list(fields) for name, fields in scenario.pii_redaction_rules.items()}
        configured = config.load({ALLOW_UNSAFE: allow_unsafe}).documents["privacy"]
        merged = extended_policy({key: configured[key] for key in configured if key != ALLOW_UNSAFE}, rules)
        privacy.write_text(json.dumps(merged, indent=2) + "\n")
    return Plan(scenario, folder, slo, privacy, allow_unsafe)


def objectives(scenario: Scenario) -> dict[str, Any]:
    """Return the objectives that *scenario* expects of each of its protocols.

    One that expects nothing must succeed in all but `DEFAULT_ERROR_RATE` of its requests, few or many.
    """
    limits: dict[str, float] = {}
    if scenario.expected_error_rate is not None:
        limits["max_error_rate"] = scenario.expected_error_rate
    if scenario.expected_p95_latency_ms is not None:
        limits["max_p95_latency_ms"] = scenario.expected_p95_latency_ms
    few = {} if limits else {"min_samples": 1}
    limits = limits or {"max_error_rate": DEFAULT_ERROR_RATE}
    return {"objectives": dict.fromkeys(scenario.protocols, limits), **few}


def _replace(document: dict[str, Any], name: str, value: object) -> None:
    for spelling in spellings(name, COMMON[name]):
        document.pop(spelling, None)
    document[name] = value


def _redirect(document: dict[str, Any], endpoint: str) -> None:
    """Send every part of the endpoint's protocol there; without a path of its own it keeps the part's."""
    target = urlsplit(endpoint)
    protocols = _SCHEMES.get(target.scheme, ())
    parts = document["parts"] = [dict(part) for part in document.get("parts", ())]
    if not parts:
        del document["parts"]
        parts = [document]
    found = [part for part in parts if part.get("protocol") in protocols]
    if not found:
        raise ConfigError(
            f"--endpoint {target.scheme}://…: the scenario has no part for it",
            remedy=f"its protocols: {', '.join(sorted({str(part.get('protocol')) for part in parts}))}",
        )
    for part in found:
        own = urlsplit(str(part.get("endpoint", "")))
        has_path = target.path not in ("", "/") or target.query
        moved = target if has_path else target._replace(path=own.path, query=own.query)
        part["endpoint"] = moved.geturl()
