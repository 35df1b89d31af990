"""Which of a rule's fixes to try first."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from streamlab_plugin.knowledge.signature import SEVERITY_WEIGHTS


class RuleFix(Protocol):
    """A fix as a rule offers it (`detect.fix.Fix`)."""

    @property
    def fix_type(self) -> str: ...
    @property
    def title(self) -> str: ...
    @property
    def steps(self) -> tuple[str, ...]: ...
    @property
    def risk(self) -> str: ...
    @property
    def confidence(self) -> float: ...


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A fix for one signature; *priority* is severity weight × confidence, 0..4."""

    fix_type: str
    title: str
    steps: tuple[str, ...]
    risk: str
    confidence: float
    priority: float


def suggest(rule_fixes: Iterable[RuleFix], severity: str) -> list[Suggestion]:
    """Return the fixes as suggestions for a finding of *severity*, highest priority first.

    Equal priorities keep the order in which the rule lists them.

    Raises:
        KeyError: *severity* is none.
    """
    weight = SEVERITY_WEIGHTS[severity]
    suggestions = [
        Suggestion(fix.fix_type, fix.title, fix.steps, fix.risk, fix.confidence, weight * fix.confidence)
        for fix in rule_fixes
    ]
    return sorted(suggestions, key=lambda suggestion: -suggestion.priority)
