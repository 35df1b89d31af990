"""The verdict on a run: met, breached, inconclusive or unreachable.

The less is known, the earlier it counts: a run that reached nothing or cannot be trusted is neither met nor
breached.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from streamlab_plugin.core.errors import (
    EXIT_BREACHED,
    EXIT_INFRASTRUCTURE,
    EXIT_MET,
    EXIT_NO_VERDICT,
    ConfigError,
)
from streamlab_plugin.core.ledger import LOSS_LIMIT, Ledger
from streamlab_plugin.core.wording import shown
from streamlab_plugin.slo.objective import MAX_ERROR_RATE, MAX_P95_LATENCY_MS, Objectives
from streamlab_plugin.slo.reading import Path, read_key, read_mapping, read_number, read_text

MET = "met"
BREACHED = "breached"
INCONCLUSIVE = "inconclusive"
UNREACHABLE = "unreachable"
NOT_APPLICABLE = "not_applicable"

EXIT_CODES = {
    MET: EXIT_MET,
    BREACHED: EXIT_BREACHED,
    INCONCLUSIVE: EXIT_NO_VERDICT,
    UNREACHABLE: EXIT_INFRASTRUCTURE,
}


@dataclass(frozen=True, slots=True)
class ProtocolFacts:
    """What a run did over one protocol.

    *count* is every request, *errors* those that failed or timed out, *answered* those that got any answer,
    good or bad, *interrupted* those that Locust cut off. Percentiles are None without *latency_samples*.
    *faulted* requests are in none of these: injected faults touched them.
    """

    count: int
    errors: int
    answered: int
    interrupted: int
    latency_samples: int
    p95_latency_ms: float | None
    p50_latency_ms: float | None = None
    p99_latency_ms: float | None = None
    faulted: int = 0

    @property
    def judged(self) -> int:
        """Requests that count in objectives: all but the interrupted ones."""
        return self.count - self.interrupted

    @property
    def error_rate(self) -> float | None:
        """Share 0..1 of failed requests, or None without any."""
        return self.errors / self.judged if self.judged > 0 else None


@dataclass(frozen=True, slots=True)
class RunFacts:
    """Everything a verdict rests on; *problems* are sentences such as missing workers."""

    state: str
    duration_s: float
    protocols: Mapping[str, ProtocolFacts]
    ledger: Ledger
    problems: tuple[str, ...] = ()

    @property
    def faulted(self) -> int:
        """Requests that are left out because injected faults touched them."""
        return sum(one.faulted for one in self.protocols.values())

    def throughput_rps(self, protocol: str) -> float | None:
        """Return the answered requests per second, or None for a run without length."""
        return self.protocols[protocol].answered / self.duration_s if self.duration_s > 0 else None


@dataclass(frozen=True, slots=True)
class ObjectiveResult:
    """One objective of one protocol; *state* is met, breached, inconclusive or not_applicable."""

    protocol: str
    name: str
    limit: float
    value: float | None
    state: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is concluded of a run, and why."""

    kind: str
    exit_code: int
    reasons: tuple[str, ...]
    objectives: tuple[ObjectiveResult, ...] = field(default=())

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON; `verdict_from_dict` is the way back."""
        return {
            "kind": self.kind,
            "exit_code": self.exit_code,
            "reasons": list(self.reasons),
            "objectives": [
                {
                    "protocol": one.protocol,
                    "name": one.name,
                    "limit": one.limit,
                    "value": one.value,
                    "state": one.state,
                }
                for one in self.objectives
            ],
        }


def decide(facts: RunFacts, objectives: Objectives) -> Verdict:
    """Judge a run; the first that applies of unreachable, inconclusive, breached, met."""
    results = tuple(
        _judge(facts, protocol, name, limit, objectives.min_samples)
        for protocol, limits in objectives.limits.items()
        for name, limit in limits.items()
    )
    for kind, reasons in (
        (UNREACHABLE, _unreachable(facts)),
        (INCONCLUSIVE, _doubts(facts, results, objectives.min_samples)),
        (BREACHED, [_text(result) for result in results if result.state == BREACHED]),
    ):
        if reasons:
            return Verdict(kind, EXIT_CODES[kind], tuple(reasons), results)
    return Verdict(MET, EXIT_CODES[MET], ("all objectives are met",), results)


def left_out(facts: RunFacts) -> tuple[str, ...]:
    """Say how many requests were not judged because injected faults touched them; nothing if none were."""
    return (f"{facts.faulted:,} requests touched by injected faults are left out",) if facts.faulted else ()


def _judge(facts: RunFacts, protocol: str, name: str, limit: float, min_samples: int) -> ObjectiveResult:
    seen = facts.protocols.get(protocol)
    if seen is None or seen.count == 0:
        return ObjectiveResult(protocol, name, limit, None, NOT_APPLICABLE)
    if name == MAX_ERROR_RATE:
        value, is_met = seen.error_rate, (seen.error_rate or 0.0) <= limit
    elif name == MAX_P95_LATENCY_MS:
        value = seen.p95_latency_ms
        is_met = value is None or not _exceeds(value, limit)
    else:
        value = facts.throughput_rps(protocol)
        is_met = value is not None and value >= limit
    samples = seen.judged if name != MAX_P95_LATENCY_MS else min(seen.judged, seen.latency_samples)
    if value is None or samples < min_samples:
        return ObjectiveResult(protocol, name, limit, value, INCONCLUSIVE)
    return ObjectiveResult(protocol, name, limit, value, MET if is_met else BREACHED)


def _exceeds(value_ms: float, limit_ms: float) -> bool:
    # The sketches hold float32: 100.1 is a little less there, and neither side may lose by that.
    return bool(np.float32(value_ms) > np.float32(limit_ms))


def _unreachable(facts: RunFacts) -> list[str]:
    requests = sum(one.count for one in facts.protocols.values())
    answered = sum(one.answered for one in facts.protocols.values())
    if requests and not answered:
        return [f"none of {requests:,} requests got an answer"]
    return []


def _doubts(facts: RunFacts, results: tuple[ObjectiveResult, ...], min_samples: int) -> list[str]:
    doubts = []
    if facts.state == "running":
        doubts.append("the run is still running")
    if not any(one.count for one in facts.protocols.values()):
        touched = " that no injected fault touched" if facts.faulted else ""
        doubts.append(f"the run made no requests{touched}")
    elif all(result.state == NOT_APPLICABLE for result in results):
        doubts.append("no objective is about a protocol that the run used")
    if not facts.ledger.is_balanced:
        doubts.append(f"the ledger does not balance: {facts.ledger.text()}")
    if not facts.ledger.loss_is_tolerable:
        doubts.append(f"more than {LOSS_LIMIT:.1%} of the records were lost: {facts.ledger.text()}")
    doubts += facts.problems
    doubts += [
        f"{_subject(result)} cannot be judged: {_missing(facts, result, min_samples)}"
        for result in results
        if result.state == INCONCLUSIVE
    ]
    return doubts


def _missing(facts: RunFacts, result: ObjectiveResult, min_samples: int) -> str:
    seen = facts.protocols[result.protocol]
    if seen.judged < min_samples:
        return f"{seen.judged:,} requests, {min_samples:,} needed"
    if result.name == MAX_P95_LATENCY_MS:
        return f"{seen.latency_samples:,} latencies, {min_samples:,} needed"
    return "the run has no length"


_SUBJECTS = {
    MAX_ERROR_RATE: ("error rate", "above"),
    MAX_P95_LATENCY_MS: ("p95 latency", "above"),
}


def _subject(result: ObjectiveResult) -> str:
    return f"{result.protocol} {_SUBJECTS.get(result.name, ('throughput', 'below'))[0]}"


def _text(result: ObjectiveResult) -> str:
    relation = _SUBJECTS.get(result.name, ("throughput", "below"))[1]
    value, limit = (_quantity(result.name, number) for number in (result.value, result.limit))
    return f"{_subject(result)} {value} is {relation} {limit}"


def _quantity(name: str, value: float | None) -> str:
    if value is None:
        return "unknown"
    if name == MAX_ERROR_RATE:
        return f"{value * 100:.4g} %"
    return f"{value:.6g} ms" if name == MAX_P95_LATENCY_MS else f"{value:.6g}/s"


def verdict_from_dict(data: object) -> Verdict:
    """Read what `Verdict.to_dict` wrote.

    Raises:
        ConfigError: It is something else.
    """
    document = read_mapping(data, ())
    kind = read_text(read_key(document, "kind", ()), ("kind",))
    if kind not in EXIT_CODES:
        raise ConfigError(f"unknown verdict {kind!r}", path=("kind",))
    reasons = _items(document, "reasons")
    return Verdict(
        kind,
        EXIT_CODES[kind],
        tuple(read_text(item, ("reasons", index)) for index, item in enumerate(reasons)),
        tuple(
            _read_result(item, ("objectives", index))
            for index, item in enumerate(_items(document, "objectives"))
        ),
    )


def _items(document: Mapping[str, object], key: str) -> list[object]:
    items = read_key(document, key, ())
    if not isinstance(items, list):
        raise ConfigError(f"expected a list, got {shown(items)}", path=(key,))
    return items


def _read_result(data: object, path: Path) -> ObjectiveResult:
    entry = read_mapping(data, path)
    value = read_key(entry, "value", path)
    return ObjectiveResult(
        protocol=read_text(read_key(entry, "protocol", path), (*path, "protocol")),
        name=read_text(read_key(entry, "name", path), (*path, "name")),
        limit=read_number(read_key(entry, "limit", path), (*path, "limit")),
        value=None if value is None else read_number(value, (*path, "value")),
        state=read_text(read_key(entry, "state", path), (*path, "state")),
    )
