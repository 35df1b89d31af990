"""The answers of a probe for people and for programs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from statistics import median
from typing import Any

from streamlab_plugin.cli.printable import printable
from streamlab_plugin.probe.answer import OK, Answer
from streamlab_plugin.probe.attempt import TOTAL


def outcome_of(answers: Sequence[Answer]) -> Answer:
    """Return the answer that speaks for all: the last if all are ok, else one of the commonest failure."""
    failures = [answer for answer in answers if answer.outcome != OK]
    if not failures:
        return answers[-1]
    commonest = Counter(answer.outcome for answer in failures).most_common(1)[0][0]
    return next(answer for answer in failures if answer.outcome == commonest)


def answers_json(answers: Sequence[Answer]) -> dict[str, Any]:
    """Return the answers as one JSON object; timings of a phase are over the attempts that completed it."""
    shown = outcome_of(answers)
    timings = {
        phase: {"min": min(values), "median": median(values), "max": max(values)}
        for phase, values in _timings(answers).items()
    }
    return {
        "target": shown.target,
        "outcome": shown.outcome,
        "reason": shown.reason,
        "count": len(answers),
        "ok": sum(answer.outcome == OK for answer in answers),
        "timings_ms": timings,
        "facts": shown.facts,
        "warnings": list(shown.warnings),
    }


def answers_lines(answers: Sequence[Answer]) -> list[str]:
    """Return one line, and one more per warning."""
    shown = outcome_of(answers)
    timings = ", ".join(f"{phase} {_span(values)} ms" for phase, values in _timings(answers).items())
    facts = ", ".join(f"{name} {_word(value)}" for name, value in shown.facts.items())
    parts = [shown.reason, timings]
    if len(answers) > 1:
        ok = sum(answer.outcome == OK for answer in answers)
        parts.append(f"min/median/max of {len(answers)}, {ok} ok")
    parts.append(facts)
    line = f"{shown.outcome}  {shown.target}  {'; '.join(part for part in parts if part)}"
    return [printable(one) for one in (line, *(f"warning: {text}" for text in shown.warnings))]


def _timings(answers: Sequence[Answer]) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {}
    for answer in answers:
        for phase, value in answer.timings_ms.items():
            found.setdefault(phase, []).append(value)
    # `total` last, also where a later attempt came further than the first.
    return {**{phase: found[phase] for phase in found if phase != TOTAL}, TOTAL: found[TOTAL]}


def _span(values: Sequence[float]) -> str:
    numbers = values if len(values) == 1 else (min(values), median(values), max(values))
    return "/".join(f"{number:.1f}" for number in numbers)


def _word(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)
