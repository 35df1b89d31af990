"""Redaction of payloads by plans compiled once per shape.

Test payloads come in few shapes. What follows from the keys and types alone (which fields stay, in which
order, how each is treated, the schema hash) is worked out at the first payload of a shape; the others only
touch the values that stay.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from streamlab_plugin.privacy.applier import Apply, Redacted, compile_applier
from streamlab_plugin.privacy.policy import Action, Policy
from streamlab_plugin.privacy.pseudonym import Pseudonyms
from streamlab_plugin.privacy.scalar import DROPPED
from streamlab_plugin.privacy.shape import (
    ANY_KEY,
    NODE_LIMIT,
    is_field_name,
    key_size,
    schema_hash,
    shape_key,
    shape_paths,
)
from streamlab_plugin.privacy.treatment import SCALARS, Treatment

PLAN_LIMIT = 4096

_CACHEABLE_SIZE = 512  # nodes of a shape
_ARRAY_KEYS = ("[]",)
# Which kinds of value are counted as what; containers count what is in them.
_COUNTED_AS = {
    "kept": ("plain", "number", "text"),
    "hashed": ("null_id", "id_text", "id"),
    "bucketed": ("degrees", "coordinate"),
}


class _Plan(NamedTuple):
    """What to do with payloads of one shape."""

    apply: Apply
    uses: list[int]  # one number: payloads not yet in `Redactor.counts`
    paths: tuple[str, ...]
    tallies: dict[str, int]  # what one payload adds to the counts


class Redactor:
    """Redact decoded JSON payloads under one policy. For one thread.

    Args:
        policy: What the names of fields decide.
        pseudonyms: Makes what replaces ids.
    """

    def __init__(self, policy: Policy, pseudonyms: Pseudonyms) -> None:
        self._treatment = Treatment(policy, pseudonyms)
        self._pseudonyms = pseudonyms
        self._decode = msgspec.json.Decoder().decode
        self._plans: dict[object, _Plan] = {}

    @property
    def counts(self) -> dict[str, int]:
        """Fields so far by what happened to them, and payloads that failed.

        ``scrubbed`` are kept strings that the scan changed. A removed subtree counts as one dropped field.
        Read it per batch, not per record: it adds up the uses of all known shapes.
        """
        for plan in self._plans.values():
            if plan.uses[0]:
                self._count(plan)
        return self._treatment.counts

    def redact_json(self, raw: bytes | str) -> Redacted | None:
        """Redact the JSON text *raw*; None, counted as failed, when anything goes wrong. Never raises."""
        try:
            return self.redact(self._decode(raw))
        except Exception:  # noqa: BLE001 - fails closed: metadata only
            self._treatment.counts["failed"] += 1
            return None

    def redact(self, payload: object) -> Redacted:
        """Redact *payload*, a decoded JSON value; it is not changed. A bare scalar is dropped."""
        if type(payload) is dict:
            plan = self._plans.get((*payload, *map(type, payload.values())))
            return (plan or self._plan(payload)).apply(payload)
        return self._redact_other(payload)

    def _redact_other(self, payload: object) -> Redacted:
        paths = shape_paths(payload)
        self._treatment.start(1)
        value = self._treatment.value(payload, Action.DROP, 0)
        if value is DROPPED:
            return Redacted((), [], schema_hash(paths), paths)
        return Redacted(_ARRAY_KEYS, [value], schema_hash(paths), paths)

    def _plan(self, payload: dict[str, object]) -> _Plan:
        """Return the plan for a shape with containers in it, or not seen yet."""
        key = shape_key(payload)
        plan = self._plans.get(key)
        if plan is None:
            plan = self._compile(payload)
            # A map whose keys are data has a new shape each time: caching those would crowd out the others.
            is_map = any(ANY_KEY in path for path in plan.paths)
            if len(self._plans) < PLAN_LIMIT and not is_map and key_size(key) <= _CACHEABLE_SIZE:
                self._plans[key] = plan
            else:
                plan.uses[0] = 1
                self._count(plan)
        return plan

    def _count(self, plan: _Plan) -> None:
        for name, tally in plan.tallies.items():
            self._treatment.counts[name] += tally * plan.uses[0]
        plan.uses[0] = 0

    def _compile(self, payload: dict[str, object]) -> _Plan:
        names = [name for name in list(payload)[:NODE_LIMIT] if isinstance(name, str)]
        actions = {
            name: action
            for name in sorted(names)
            if (action := self._stored_action(name, payload[name])) is not None
        }
        fields = {name: (_kind(payload[name], action), action) for name, action in actions.items()}
        kinds = [kind for kind, _action in fields.values()]
        paths = shape_paths(payload)
        uses = [0]
        return _Plan(
            compile_applier(fields, (schema_hash(paths), paths), uses, self._treatment, self._pseudonyms),
            uses,
            paths,
            tallies={
                name: sum(kinds.count(kind) for kind in counted) for name, counted in _COUNTED_AS.items()
            }
            | {"dropped": len(payload) - len(actions)},
        )

    def _stored_action(self, name: str, value: object) -> Action | None:
        """Return what to do with the field *name*; None drops it unseen."""
        action = self._treatment.action(name)
        if type(value) is dict or type(value) is list:
            # An unlisted container's key shows in the result, so it must be a field's name.
            return action if action is not Action.REMOVE and is_field_name(name) else None
        is_dropped = action in (Action.REMOVE, Action.DROP) or type(value) not in SCALARS
        return None if is_dropped else action


def _kind(value: object, action: Action) -> str:
    """Return how a value under *action* is treated: a key of the applier's treatments."""
    if type(value) not in SCALARS:
        return "container"
    is_number = type(value) is int or type(value) is float
    if action is Action.BUCKET:
        return "degrees" if is_number else "coordinate"
    if action is Action.HASH:
        return "null_id" if value is None else "id_text" if type(value) is str else "id"
    return "text" if type(value) is str else "number" if is_number else "plain"
