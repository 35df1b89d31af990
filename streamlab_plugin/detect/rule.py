"""The rules a user writes: checked once at load, then plain values.

`parse_rules` takes the parsed document of ``rules/anomalies.yaml`` or of a user's own file; what each key
means is in docs/rules.md.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

from streamlab_plugin.core.errors import ConfigError
from streamlab_plugin.detect.condition import Comparison, parse_condition
from streamlab_plugin.detect.drift import DRIFT_RULE, DriftRule
from streamlab_plugin.detect.fix import Fix, parse_fixes
from streamlab_plugin.detect.reading import (
    Path,
    read_choice,
    read_count,
    read_list,
    read_mapping,
    read_name,
    read_number,
    read_text,
    read_texts,
)
from streamlab_plugin.detect.window import METRICS, WindowRule

__all__ = ["SEVERITIES", "Comparison", "DriftRule", "Fix", "Rule", "RuleSet", "WindowRule", "parse_rules"]

# Mildest first. `knowledge.signature` weighs the same four; siblings do not import each other.
SEVERITIES = ("info", "warning", "error", "critical")


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule on single records: it fires when every comparison of its *condition* holds."""

    name: str
    description: str
    severity: str
    anomaly_type: str
    tags: tuple[str, ...]
    fixes: tuple[Fix, ...]
    condition: tuple[Comparison, ...]


@dataclass(frozen=True, slots=True)
class RuleSet:
    """Everything that judges a run: rules on records, schema drift (None: switched off), windows."""

    rules: tuple[Rule, ...]
    drift: DriftRule | None
    windows: tuple[WindowRule, ...]


def parse_rules(data: object) -> RuleSet:
    """Check a parsed rules document and return its values.

    Raises:
        ConfigError: Anything is unknown, missing, doubled or of the wrong type; ``path`` leads to it.
    """
    document = read_mapping(data, (), required=(), optional=("rules", "windows", "schema_drift"))
    if not document:
        raise ConfigError("the document is empty", remedy="add 'rules', 'windows' or 'schema_drift'")
    rules = tuple(
        _parse_rule(item, ("rules", index))
        for index, item in enumerate(read_list(document.get("rules", []), ("rules",)))
    )
    windows = tuple(
        _parse_window(item, ("windows", index))
        for index, item in enumerate(read_list(document.get("windows", []), ("windows",)))
    )
    names = [(rule.name, ("rules", index)) for index, rule in enumerate(rules)]
    names += [(window.name, ("windows", index)) for index, window in enumerate(windows)]
    _refuse_doubles(names)
    drift = _parse_drift(document["schema_drift"]) if "schema_drift" in document else None
    return RuleSet(rules, drift, windows)


def _parse_rule(data: object, path: Path) -> Rule:
    entry = read_mapping(
        data,
        path,
        required=("name", "description", "condition", "severity", "anomaly_type"),
        optional=("tags", "fixes"),
    )
    return Rule(
        name=read_name(entry["name"], (*path, "name")),
        description=read_text(entry["description"], (*path, "description")),
        severity=read_choice(entry["severity"], (*path, "severity"), "severity", SEVERITIES),
        anomaly_type=read_name(entry["anomaly_type"], (*path, "anomaly_type")),
        tags=read_texts(entry.get("tags", []), (*path, "tags")),
        fixes=parse_fixes(entry.get("fixes", []), (*path, "fixes")),
        condition=parse_condition(entry["condition"], (*path, "condition")),
    )


def _parse_drift(data: object) -> DriftRule:
    path: Path = ("schema_drift",)
    entry = read_mapping(
        data,
        path,
        required=("min_records", "severity", "description", "anomaly_type"),
        optional=("tags", "fixes"),
    )
    return DriftRule(
        description=read_text(entry["description"], (*path, "description")),
        severity=read_choice(entry["severity"], (*path, "severity"), "severity", SEVERITIES),
        anomaly_type=read_name(entry["anomaly_type"], (*path, "anomaly_type")),
        min_records=read_count(entry["min_records"], (*path, "min_records")),
        tags=read_texts(entry.get("tags", []), (*path, "tags")),
        fixes=parse_fixes(entry.get("fixes", []), (*path, "fixes")),
    )


def _parse_window(data: object, path: Path) -> WindowRule:
    entry = read_mapping(
        data,
        path,
        required=("name", "description", "metric", "window_s", "min_count", "levels", "anomaly_type"),
        optional=("tags", "fixes"),
    )
    return WindowRule(
        name=read_name(entry["name"], (*path, "name")),
        description=read_text(entry["description"], (*path, "description")),
        anomaly_type=read_name(entry["anomaly_type"], (*path, "anomaly_type")),
        metric=read_choice(entry["metric"], (*path, "metric"), "metric", METRICS),
        window_s=read_count(entry["window_s"], (*path, "window_s")),
        min_count=read_count(entry["min_count"], (*path, "min_count")),
        levels=_parse_levels(entry["levels"], (*path, "levels")),
        fixes=parse_fixes(entry.get("fixes", []), (*path, "fixes")),
        tags=read_texts(entry.get("tags", []), (*path, "tags")),
    )


def _parse_levels(data: object, path: Path) -> tuple[tuple[str, float], ...]:
    entry = read_mapping(data, path, required=(), optional=SEVERITIES)
    levels = tuple(
        (severity, read_number(entry[severity], (*path, severity), low=0.0, high=1.0))
        for severity in SEVERITIES
        if severity in entry
    )
    if not levels:
        raise ConfigError("no level is given", path=path, remedy="write e.g. {warning: 0.05, critical: 0.15}")
    for (lower, below), (higher, above) in pairwise(levels):
        if above <= below:
            raise ConfigError(
                f"{higher} ({above}) is not above {lower} ({below})",
                path=(*path, higher),
                remedy="raise the threshold with the severity",
            )
    return levels


def _refuse_doubles(names: Iterable[tuple[str, Path]]) -> None:
    seen: dict[str, Path] = {DRIFT_RULE: ("schema_drift",)}
    for name, path in names:
        if name in seen:
            first = ".".join(str(part) for part in seen[name])
            raise ConfigError(
                f"the rule name {name!r} is used twice", path=(*path, "name"), remedy=f"rename it or {first}"
            )
        seen[name] = path
