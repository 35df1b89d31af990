"""Redaction of payloads by plans compiled once per endpoint's policy and shape.

Test payloads come in few shapes. What follows from the keys and types alone (which fields stay, in which
order, how each is treated, the schema hash) is worked out at the first payload of a shape; the others only
touch the values that stay.
"""

from __future__ import annotations

from typing import NamedTuple

from streamlab_plugin.privacy.applier import Apply, Redacted, compile_applier
from streamlab_plugin.privacy.form import decode_body
from streamlab_plugin.privacy.pair import find_pair
from streamlab_plugin.privacy.policy import Action, Decision, Policy
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
from streamlab_plugin.privacy.treatment import COUNTS, SCALARS, Treatment

PLAN_LIMIT = 4096
ENDPOINT_LIMIT = 5_000

_CACHEABLE_SIZE = 512  # nodes of a shape
_ARRAY_KEYS = ("[]",)
_NO_FIELD = Decision(Action.DROP, None, "a value without a name")
# Which kinds of value are counted as what; containers and pairs count what is in them.
_COUNTED_AS = {
    "kept": ("plain", "number", "text"),
    "hashed": ("null_id", "id_text", "id"),
    "bucketed": ("degrees", "coarse"),
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
        policy: What the names of fields decide, endpoint by endpoint.
        pseudonyms: Makes what replaces ids.
    """

    def __init__(self, policy: Policy, pseudonyms: Pseudonyms) -> None:
        self._policy = policy
        self._pseudonyms = pseudonyms
        self._counts = dict.fromkeys(COUNTS, 0)
        self._sections: dict[int, Section] = {}  # by the identity of their policy
        self._by_endpoint: dict[str, Section] = {}

    @property
    def counts(self) -> dict[str, int]:
        """Fields so far by what happened to them, and payloads that failed.

        ``scrubbed`` are kept strings that the scan changed. A removed subtree counts as one dropped field.
        Read it per batch, not per record: it adds up the uses of all known shapes.
        """
        for section in self._sections.values():
            section.add_up()
        return self._counts

    def redact_json(self, raw: bytes | str, endpoint: str = "") -> Redacted | None:
        """Redact the JSON text or form *raw*; None, counted as failed, when it is neither. Never raises."""
        try:
            section = self._by_endpoint.get(endpoint) or self._section(endpoint)
            return section.redact(decode_body(raw))
        except Exception:  # noqa: BLE001 - fails closed: metadata only
            self._counts["failed"] += 1
            return None

    def redact(self, payload: object, endpoint: str = "") -> Redacted:
        """Redact *payload*, a decoded JSON value; it is not changed. A bare scalar is dropped."""
        return (self._by_endpoint.get(endpoint) or self._section(endpoint)).redact(payload)

    def _section(self, endpoint: str) -> Section:
        policy = self._policy.at(endpoint)
        section = self._sections.get(id(policy))
        if section is None:
            section = self._sections[id(policy)] = Section(policy, self._pseudonyms, self._counts)
        if len(self._by_endpoint) >= ENDPOINT_LIMIT:
            self._by_endpoint.clear()
        self._by_endpoint[endpoint] = section
        return section


class Section:
    """Redact the payloads of the endpoints that share one policy."""

    def __init__(self, policy: Policy, pseudonyms: Pseudonyms, counts: dict[str, int]) -> None:
        self._treatment = Treatment(policy, pseudonyms, counts)
        self._pseudonyms = pseudonyms
        self._plans: dict[object, _Plan] = {}
        # Of payloads without containers the names find the plan, and the plan itself sees whether it fits.
        self._latest: dict[tuple[str, ...], Apply] = {}
        self._orders: dict[frozenset[str], tuple[str, ...]] = {}

    def add_up(self) -> None:
        """Add what the plans did since the last call to the counts."""
        for plan in self._plans.values():
            if plan.uses[0]:
                self._count(plan)

    def redact(self, payload: object) -> Redacted:
        """See `Redactor.redact`."""
        if type(payload) is dict:
            apply = self._latest.get(tuple(payload))
            if apply is not None and (redacted := apply(payload)) is not None:
                return redacted
            return self._redact_object(payload)
        return self._redact_other(payload)

    def _redact_object(self, payload: dict[str, object]) -> Redacted:
        plan = self._plan(payload)
        if plan is None:
            return self._redact_once(payload)
        if not any(type(value) is dict or type(value) is list for value in payload.values()):
            self._latest[tuple(payload)] = plan.apply
        redacted = plan.apply(payload)
        assert redacted is not None, "a plan is for the types in its key"
        return redacted

    def _redact_other(self, payload: object) -> Redacted:
        paths = shape_paths(payload)
        self._treatment.start(1)
        value = self._treatment.value(payload, _NO_FIELD, 0)
        if value is DROPPED:
            return Redacted((), [], schema_hash(paths), paths)
        return Redacted(_ARRAY_KEYS, [value], schema_hash(paths), paths)

    def _redact_once(self, payload: dict[str, object]) -> Redacted:
        """Do what a plan does, without one: compiling takes as long as redacting ten times."""
        paths, treatment = shape_paths(payload), self._treatment
        decisions, pair = self._decisions(payload), find_pair(payload)
        treatment.counts["dropped"] += len(payload) - len(decisions)
        treatment.start(len(payload))
        stored: dict[str, object] = {}
        for name, decision in decisions.items():
            if pair and name in pair.values:
                new = treatment.paired(payload[name], payload[pair.name], decision, pair, 1)
            else:
                new = treatment.value(payload[name], decision, 1)
            if new is not DROPPED:
                stored[name] = new
        return Redacted(tuple(stored), list(stored.values()), schema_hash(paths), paths)

    def _plan(self, payload: dict[str, object]) -> _Plan | None:
        """Return the plan for the payload's shape; None: it gets none."""
        key = shape_key(payload)
        plan = self._plans.get(key)
        if plan is None and len(self._plans) < PLAN_LIMIT and key_size(key) <= _CACHEABLE_SIZE:
            paths = shape_paths(payload)
            # A map whose keys are data has a new shape each time: caching those would crowd out the others.
            if not any(ANY_KEY in path for path in paths):
                plan = self._plans[key] = self._compile(payload, paths)
        return plan

    def _count(self, plan: _Plan) -> None:
        for name, tally in plan.tallies.items():
            self._treatment.counts[name] += tally * plan.uses[0]
        plan.uses[0] = 0

    def _decisions(self, payload: dict[str, object]) -> dict[str, Decision]:
        """Return what to do with each field that may be stored."""
        names = [name for name in list(payload)[:NODE_LIMIT] if isinstance(name, str)]
        return {
            name: decision
            for name in self._ordered(names)
            if (decision := self._stored(name, payload[name])) is not None
        }

    def _compile(self, payload: dict[str, object], paths: tuple[str, ...]) -> _Plan:
        decisions, pair = self._decisions(payload), find_pair(payload)
        fields = {
            name: ("paired" if pair and name in pair.values else _kind(payload[name], decision), decision)
            for name, decision in decisions.items()
        }
        kinds = [kind for kind, _decision in fields.values()]
        uses = [0]
        return _Plan(
            compile_applier(
                {name: type(value) for name, value in payload.items()},
                fields,
                pair,
                (schema_hash(paths), paths),
                uses,
                self._treatment,
                self._pseudonyms,
            ),
            uses,
            paths,
            tallies={
                name: sum(kinds.count(kind) for kind in counted) for name, counted in _COUNTED_AS.items()
            }
            | {"dropped": len(payload) - len(decisions)},
        )

    def _ordered(self, names: list[str]) -> tuple[str, ...]:
        """Return *names* in the order in which they first came together: one shape has one order."""
        if len(self._orders) >= PLAN_LIMIT:
            self._orders.clear()
        return self._orders.setdefault(frozenset(names), tuple(names))

    def _stored(self, name: str, value: object) -> Decision | None:
        """Return what to do with the field *name*; None drops it unseen."""
        decision = self._treatment.decision(name)
        if type(value) is dict or type(value) is list:
            # An unlisted container's key shows in the result, so it must be a field's name.
            return decision if decision.action is not Action.REMOVE and is_field_name(name) else None
        is_dropped = decision.action in (Action.REMOVE, Action.DROP) or type(value) not in SCALARS
        return None if is_dropped else decision


def _kind(value: object, decision: Decision) -> str:
    """Return how a value under *decision* is treated: a key of the applier's treatments."""
    if type(value) not in SCALARS:
        return "container"
    is_number = type(value) is int or type(value) is float
    if decision.bucket is not None:
        return "degrees" if is_number and decision.bucket.kind == "degrees" else "coarse"
    if decision.action is Action.HASH:
        return "null_id" if value is None else "id_text" if type(value) is str else "id"
    return "text" if type(value) is str else "number" if is_number else "plain"
