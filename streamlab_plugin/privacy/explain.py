"""What happens to each field of a payload, and why: the same decisions as redaction, one line each."""

from __future__ import annotations

from typing import NamedTuple

from streamlab_plugin.privacy.pair import find_pair
from streamlab_plugin.privacy.policy import Action, Decision, Policy
from streamlab_plugin.privacy.pseudonym import Pseudonyms
from streamlab_plugin.privacy.scalar import DROPPED
from streamlab_plugin.privacy.shape import ANY_KEY, DEPTH_LIMIT, NODE_LIMIT, is_field_name
from streamlab_plugin.privacy.treatment import COUNTS, KEY_IS_DATA, Treatment, inner_decision

_TYPES = {dict: "object", list: "array", str: "text", bool: "boolean", type(None): "null"}


class Line(NamedTuple):
    """One field of a payload.

    ``path`` has no value in it; ``stored`` is what remains of the value, or None when ``is_stored`` is false.
    """

    path: str
    kind: str
    outcome: str
    reason: str
    is_stored: bool
    stored: object


def explain(payload: object, policy: Policy, pseudonyms: Pseudonyms) -> list[Line]:
    """Return a line for each scalar and each removed subtree of *payload*, in its order.

    Args:
        payload: A decoded JSON value.
        policy: That of the endpoint, see `Policy.at`.
        pseudonyms: Makes what replaces ids.
    """
    explainer = _Explainer(policy, pseudonyms)
    explainer.walk("$", payload, _ROOT, 0)
    return explainer.lines


_ROOT = Decision(Action.DROP, None, "a value without a name")


class _Explainer:
    def __init__(self, policy: Policy, pseudonyms: Pseudonyms) -> None:
        self.lines: list[Line] = []
        self._treatment = Treatment(policy, pseudonyms, dict.fromkeys(COUNTS, 0))
        self._nodes = 0

    def walk(self, path: str, value: object, decision: Decision, depth: int) -> None:
        self._nodes += 1
        if self._nodes > NODE_LIMIT or (depth >= DEPTH_LIMIT and isinstance(value, dict | list)):
            self._add(path, value, "removed", "deeper or larger than what is read")
        elif isinstance(value, dict):
            self._object(path, value, decision, depth)
        elif isinstance(value, list):
            for index, item in enumerate(value):
                self.walk(f"{path}[{index}]", item, decision, depth + 1)
        else:
            self._scalar(path, value, decision)

    def _object(self, path: str, fields: dict[str, object], outer: Decision, depth: int) -> None:
        pair = find_pair(fields)
        for name, value in fields.items():
            is_top_scalar = depth == 0 and not isinstance(value, dict | list)
            if is_field_name(name) or is_top_scalar:
                decision = inner_decision(outer, self._treatment.decision(name))
                inner = f"{path}.{name if is_field_name(name) else ANY_KEY}"
            else:
                decision, inner = KEY_IS_DATA, f"{path}.{ANY_KEY}"
            if pair is not None and name in pair.values and decision.action is not Action.REMOVE:
                decision = self._treatment.paired_decision(fields[pair.name], decision, pair)
            if decision.action is Action.REMOVE:
                self._nodes += 1
                self._add(inner, value, "removed", decision.reason)
            else:
                self.walk(inner, value, decision, depth + 1)

    def _scalar(self, path: str, value: object, decision: Decision) -> None:
        stored = self._treatment.value(value, decision, 0)
        if stored is DROPPED:
            reason = decision.reason
            if decision.action not in (Action.DROP, Action.REMOVE):
                reason = "not a value that can be kept this way"
            self._add(path, value, "removed", reason)
            return
        outcome = {Action.KEEP: "kept", Action.HASH: "hashed", Action.BUCKET: "bucketed"}[decision.action]
        if decision.action is Action.KEEP and stored != value:
            outcome = "scrubbed"
        reason = f"{decision.reason}, {decision.bucket}" if decision.bucket else decision.reason
        self.lines.append(Line(path, _kind(value), outcome, reason, True, stored))

    def _add(self, path: str, value: object, outcome: str, reason: str) -> None:
        self.lines.append(Line(path, _kind(value), outcome, reason, False, None))


def _kind(value: object) -> str:
    return _TYPES.get(type(value), "number" if isinstance(value, int | float) else "other")
