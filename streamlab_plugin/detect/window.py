"""Rules over many requests: a single error is no error rate, a single late arrival no delay."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from streamlab_plugin.detect.fix import Fix

ERROR_RATE = "error_rate"
LATE_ARRIVALS = "late_arrivals"
METRICS = (ERROR_RATE, LATE_ARRIVALS)
# How a metric and what it counts read in a finding.
_WORDS = {ERROR_RATE: ("error rate", "requests"), LATE_ARRIVALS: ("behind schedule", "arrivals")}


@dataclass(frozen=True, slots=True)
class WindowRule:
    """One rule on a sliding window of *window_s* seconds, judged from *min_count* requests (arrivals) on.

    *levels* are (severity, threshold) pairs, mildest first; a threshold is a share 0..1 and is itself still
    allowed.
    """

    name: str
    description: str
    anomaly_type: str
    metric: str = ERROR_RATE
    window_s: int = 30
    min_count: int = 50
    levels: tuple[tuple[str, float], ...] = ()
    fixes: tuple[Fix, ...] = ()
    tags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class WindowCount:
    """Requests of one endpoint in the window, interrupted ones left out; *errors* includes timeouts.

    For `LATE_ARRIVALS`: arrivals that were due in the window, and those that did not start on time.
    """

    count: int
    errors: int


@dataclass(frozen=True, slots=True)
class WindowFinding:
    """A window rule that fired: *value* was above *limit*, the threshold of *severity*."""

    rule: WindowRule
    protocol: str
    endpoint: str
    severity: str
    value: float
    limit: float
    message: str


def evaluate_windows(
    rules: Iterable[WindowRule], counts: Mapping[tuple[str, str], WindowCount]
) -> list[WindowFinding]:
    """Judge the counts of one window, keyed by (protocol, endpoint); the highest level wins.

    The caller counts over each rule's own ``window_s``; rules of different lengths need a call each.
    """
    findings = []
    for rule in rules:
        for (protocol, endpoint), seen in counts.items():
            if (finding := _judge(rule, protocol, endpoint, seen)) is not None:
                findings.append(finding)
    return findings


def _judge(rule: WindowRule, protocol: str, endpoint: str, seen: WindowCount) -> WindowFinding | None:
    if seen.count < max(rule.min_count, 1):
        return None
    value = seen.errors / seen.count
    for severity, limit in reversed(rule.levels):
        if value > limit:
            metric, things = _WORDS[rule.metric]
            message = (
                f"{metric} {value * 100:.3g} % > {limit * 100:.3g} % in {rule.window_s} s "
                f"({seen.errors:,} of {seen.count:,} {things})"
            )
            return WindowFinding(rule, protocol, endpoint, severity, value, limit, message)
    return None
