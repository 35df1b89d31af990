"""What a rule offers to do about its finding."""

from __future__ import annotations

from dataclasses import dataclass

from streamlab_plugin.core.errors import ConfigError
from streamlab_plugin.detect.reading import (
    Path,
    read_choice,
    read_list,
    read_mapping,
    read_number,
    read_text,
    read_texts,
)

FIX_TYPES = (
    "infrastructure",
    "rate_limit",
    "circuit_breaker",
    "index",
    "query_optimisation",
    "caching",
    "configuration",
    "authentication",
    "schema",
    "timeout",
    "connection_pool",
    "broker",
    "tls",
    "memory",
    "retry",
    "code",
)
RISKS = ("low", "medium", "high")


@dataclass(frozen=True, slots=True)
class Fix:
    """One remedy: *steps* in order, *risk* low, medium or high, *confidence* 0..1 that it helps."""

    fix_type: str
    title: str
    steps: tuple[str, ...]
    risk: str
    confidence: float


def parse_fixes(data: object, path: Path) -> tuple[Fix, ...]:
    """Read the ``fixes`` of a rule.

    Raises:
        ConfigError: A key is missing or unknown, a type or risk is unknown, or a confidence is outside 0..1.
    """
    return tuple(_parse_fix(item, (*path, index)) for index, item in enumerate(read_list(data, path)))


def _parse_fix(data: object, path: Path) -> Fix:
    entry = read_mapping(data, path, required=("type", "title", "steps", "risk", "confidence"))
    steps = read_texts(entry["steps"], (*path, "steps"))
    if not steps:
        raise ConfigError("a fix needs at least one step", path=(*path, "steps"))
    return Fix(
        fix_type=read_choice(entry["type"], (*path, "type"), "fix type", FIX_TYPES),
        title=read_text(entry["title"], (*path, "title")),
        steps=steps,
        risk=read_choice(entry["risk"], (*path, "risk"), "risk", RISKS),
        confidence=read_number(entry["confidence"], (*path, "confidence"), low=0.0, high=1.0),
    )
