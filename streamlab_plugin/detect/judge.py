"""All rules as one function, because it runs for every record.

A rule's comparisons of protocol, operation and outcome are decided once per combination of the three and
remembered; what is left of the rules that survive becomes one generated function per set of survivors.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import cast

from streamlab_plugin.detect.condition import (
    ORDERINGS,
    PAYLOAD_PREFIX,
    Comparison,
    holds,
    payload_value,
)
from streamlab_plugin.detect.rule import Rule
from streamlab_plugin.detect.source import MEASURED, SIGNS, Compiled, Source

Payload = Mapping[str, object] | None
Judge = Callable[
    [
        str,  # protocol
        str,  # operation
        str,  # endpoint
        str,  # direction
        str,  # user_class
        float | None,  # latency_ms
        float | None,  # wait_ms
        int,  # size_bytes
        str,  # outcome
        int | None,  # status
        str | None,  # error_type
        str | None,  # error_message
        Payload,
    ],
    tuple[int, ...],
]
"""The indexes of the rules that a record trips, ascending; arguments by position."""

NONE: tuple[int, ...] = ()

# Decided once per combination; few values each.
_CONTEXT = ("protocol", "operation", "outcome")
# Rules that look at nothing but the error: errors repeat, so their answers are remembered.
_ERROR = ("error_type", "error_message")
_ERRORS = 1_000
# Operation names come from the test; a test that makes them up must not fill the memory.
_COMBINATIONS = 1_000
_QUOTED = 60
_DESCRIBED = 200


def compile_rules(rules: Sequence[Rule]) -> Judge:
    """Turn *rules* into one function that returns the indexes of those a record trips.

    A record whose outcome is ``interrupted`` trips none.
    """
    plans: dict[tuple[str, str, str], Compiled] = {}
    compiled: dict[tuple[int, ...], Compiled] = {}

    def plan(protocol: str, operation: str, outcome: str) -> Compiled:
        survivors = _survivors(rules, {"protocol": protocol, "operation": operation, "outcome": outcome})
        rest = compiled.get(survivors)
        if rest is None:
            rest = compiled[survivors] = _compile_rest(rules, survivors)
        if len(plans) >= _COMBINATIONS:
            plans.clear()
        plans[protocol, operation, outcome] = rest
        return rest

    def judge(
        protocol: str,
        operation: str,
        endpoint: str,
        direction: str,
        user_class: str,
        latency_ms: float | None,
        wait_ms: float | None,
        size_bytes: int,
        outcome: str,
        status: int | None,
        error_type: str | None,
        error_message: str | None,
        payload: Payload,
    ) -> tuple[int, ...]:
        rest = plans.get((protocol, operation, outcome)) or plan(protocol, operation, outcome)
        return rest(
            error_type,
            error_message,
            status,
            latency_ms,
            wait_ms,
            size_bytes,
            direction,
            user_class,
            endpoint,
            payload,
        )

    return judge


def trips(rule: Rule, values: Mapping[str, object]) -> bool:
    """Whether *values* trip *rule*: what `compile_rules` decides, in its plain form.

    Args:
        rule: Any rule.
        values: Field to value, ``payload`` among them.
    """
    if values.get("outcome") == "interrupted":
        return False
    return all(holds(comparison, _value(comparison.field, values)) for comparison in rule.condition)


def describe(rule: Rule, values: Mapping[str, object]) -> str:
    """Say what was measured against which limit, e.g. ``latency_ms 512.3 > 200``, in at most 200 characters.

    Args:
        rule: A rule that *values* trip.
        values: Field to value, the redacted ``payload`` among them.
    """
    measured = [comparison for comparison in rule.condition if comparison.field not in _CONTEXT]
    by_field: dict[str, list[str]] = {}
    for comparison in measured or rule.condition:
        limit = _limit(comparison, _value(comparison.field, values))
        by_field.setdefault(comparison.field, []).append(limit)
    text = ", ".join(
        f"{_seen(field, _value(field, values))} {' and '.join(limits)}" for field, limits in by_field.items()
    )
    return text if len(text) <= _DESCRIBED else f"{text[: _DESCRIBED - 1]}…"


def _value(field: str, values: Mapping[str, object]) -> object:
    if field.startswith(PAYLOAD_PREFIX):
        return payload_value(cast("Payload", values.get("payload")), field.removeprefix(PAYLOAD_PREFIX))
    return values.get(field)


def _seen(field: str, value: object) -> str:
    # A whole error message would hide what was found in it.
    return field if field == "error_message" else f"{field} {_text(value)}"


def _limit(comparison: Comparison, value: object) -> str:
    operator = comparison.operator
    if operator in ORDERINGS:
        return f"{SIGNS[operator]} {_text(comparison.value)}"
    if operator == "contains":
        folded = str(value).casefold()
        found = [needle for needle in comparison.values if str(needle).casefold() in folded]
        return f"contains {_text((found or comparison.values)[0])}"
    if operator == "regex":
        return f"matches {_text(comparison.value)}"
    if operator == "in":
        return f"in [{', '.join(_text(item) for item in comparison.values)}]"
    return f"{'=' if operator == 'eq' else '!='} {_text(comparison.value)}"


def _text(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.1f}".removesuffix(".0") if abs(value) >= 1 else f"{value:g}"
    if isinstance(value, str):
        return json.dumps(value if len(value) <= _QUOTED else f"{value[: _QUOTED - 1]}…", ensure_ascii=False)
    return str(value)


def _survivors(rules: Sequence[Rule], context: Mapping[str, object]) -> tuple[int, ...]:
    if context["outcome"] == "interrupted":
        return NONE
    return tuple(
        index
        for index, rule in enumerate(rules)
        if all(
            holds(comparison, context[comparison.field])
            for comparison in rule.condition
            if comparison.field in _CONTEXT
        )
    )


def _compile_rest(rules: Sequence[Rule], survivors: tuple[int, ...]) -> Compiled:
    """Generate the function that decides the fields outside the context for the rules *survivors*."""
    source, errors = Source(MEASURED), Source(_ERROR)
    for index in survivors:
        comparisons = [one for one in rules[index].condition if one.field not in _CONTEXT]
        is_about_error = comparisons and all(one.field in _ERROR for one in comparisons)
        (errors if is_about_error else source).add(index, comparisons)
    if not errors.is_empty:
        source.ask_errors(lru_cache(_ERRORS)(errors.compile()))
    return source.compile()
