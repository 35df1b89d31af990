"""What a policy does to single values and to what lies inside objects and arrays."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from streamlab_plugin.privacy.bucket import Bucket, bucketer
from streamlab_plugin.privacy.detector import clean_value, is_clean_value
from streamlab_plugin.privacy.pair import Pair, find_pair
from streamlab_plugin.privacy.policy import Action, Decision, Policy
from streamlab_plugin.privacy.pseudonym import Pseudonyms
from streamlab_plugin.privacy.scalar import DROPPED, PLAIN_NUMBER, identifier, odd_number, shorten
from streamlab_plugin.privacy.shape import DEPTH_LIMIT, NODE_LIMIT, is_field_name
from streamlab_plugin.privacy.tally import marks

COUNTS = ("kept", "dropped", "hashed", "bucketed", "scrubbed", "failed")
SCALARS: Final = frozenset({str, int, float, bool, type(None)})

_DECISIONS_LIMIT = 4096
_TEXTS_LIMIT = 4096
_REMEMBERED_LENGTH = 64
_STRICTEST_FIRST = (Action.REMOVE, Action.DROP, Action.HASH, Action.BUCKET, Action.KEEP)
_NO_NAME = Decision(Action.DROP, None, "no name")
KEY_IS_DATA: Final = Decision(Action.REMOVE, None, "the key looks like data, not like a field's name")


class Treatment:
    """Apply one policy to values and count what happened to them; every method returns what is stored.

    ``clean_texts`` are short strings seen before that need no scan.
    """

    def __init__(self, policy: Policy, pseudonyms: Pseudonyms, counts: dict[str, int]) -> None:
        self.counts = counts
        self.clean_texts: set[str] = set()
        self._policy = policy
        self._pseudonym = pseudonyms.of
        self._decisions: dict[str, Decision] = {}
        self._bucketers: dict[Bucket, Callable[[object], object]] = {}
        self._nodes_left = NODE_LIMIT

    def decision(self, name: str) -> Decision:
        """Return what the policy says about the field *name*."""
        found = self._decisions.get(name)
        if found is None:
            found = self._policy.decide(name)
            if len(self._decisions) < _DECISIONS_LIMIT:
                self._decisions[name] = found
        return found

    def start(self, nodes: int) -> None:
        """Begin a payload of which *nodes* have been looked at already."""
        self._nodes_left = NODE_LIMIT - nodes

    def value(self, value: object, decision: Decision, depth: int) -> object:
        """Treat *value*, of a field under *decision*, *depth* levels down, with all that is in it."""
        if type(value) is dict:
            return self._object(value, decision, depth)
        if type(value) is list:
            return self._array(value, decision, depth)
        action = decision.action
        if action is Action.DROP or action is Action.REMOVE or type(value) not in SCALARS:
            return self._drop()
        if action is Action.KEEP:
            self.counts["kept"] += 1
            return self._kept(value)
        if action is Action.BUCKET:
            self.counts["bucketed"] += 1
            return self.coarse(value, decision)
        self.counts["hashed"] += 1
        return value if value is None else self._pseudonym(identifier(value))

    def paired(self, value: object, name: object, decision: Decision, pair: Pair, depth: int) -> object:
        """Treat the value of a name and value pair: as the field that *name* names, if that is stricter."""
        decision = self.paired_decision(name, decision, pair)
        return self._drop() if decision.action is Action.REMOVE else self.value(value, decision, depth)

    def paired_decision(self, name: object, decision: Decision, pair: Pair) -> Decision:
        """Return what happens to the value of a pair whose name is *name* and whose key has *decision*."""
        named = self.decision(name) if isinstance(name, str) else _NO_NAME
        if named.action is Action.DROP and not pair.is_certain:
            return decision
        named = named._replace(reason=f"{named.reason} (the name in {pair.name!r})")
        return min(decision, named, key=_strictness)

    def text(self, text: str) -> str:
        """Scan and shorten a kept string."""
        if is_clean_value(text):
            if len(text) <= _REMEMBERED_LENGTH:
                if len(self.clean_texts) >= _TEXTS_LIMIT:
                    self.clean_texts.clear()
                self.clean_texts.add(text)
            return shorten(text)
        cleaned = clean_value(text)
        if cleaned != text:
            self.counts["scrubbed"] += 1
            for name, count in (marks(cleaned) - marks(text)).items():
                self.counts[name] = self.counts.get(name, 0) + count
        return shorten(cleaned)

    def odd_number(self, number: int | float) -> object:
        """Treat a kept number that is outside ±`PLAIN_NUMBER`."""
        new = odd_number(number)
        if new is DROPPED:
            self.counts["kept"] -= 1
            return self._drop()
        if isinstance(new, str):
            self.counts["scrubbed"] += 1
        return new

    def coarse(self, value: object, decision: Decision) -> object:
        """Put a value into its bucket."""
        assert decision.bucket is not None
        make_coarse = self._bucketers.get(decision.bucket)
        if make_coarse is None:
            make_coarse = self._bucketers[decision.bucket] = bucketer(decision.bucket)
        new = make_coarse(value)
        if new is DROPPED:
            self.counts["bucketed"] -= 1
            return self._drop()
        return new

    def _kept(self, value: object) -> object:
        if isinstance(value, str):
            return value if value in self.clean_texts else self.text(value)
        if isinstance(value, int | float) and not -PLAIN_NUMBER < value < PLAIN_NUMBER:
            return self.odd_number(value)
        return value

    def _object(self, fields: dict[str, object], outer: Decision, depth: int) -> object:
        if depth >= DEPTH_LIMIT:
            return self._drop()
        stored: dict[str, object] = {}
        pair = find_pair(fields)
        for name, value in fields.items():
            if not self._has_room():
                break
            # A key that is no field's name is data itself, and goes with its value.
            decision = inner_decision(outer, self.decision(name)) if is_field_name(name) else KEY_IS_DATA
            if decision.action is Action.REMOVE:
                self.counts["dropped"] += 1
                continue
            if pair is not None and name in pair.values:
                new = self.paired(value, fields[pair.name], decision, pair, depth + 1)
            else:
                new = self.value(value, decision, depth + 1)
            if new is not DROPPED:
                stored[name] = new
        return stored or DROPPED

    def _array(self, items: list[object], decision: Decision, depth: int) -> object:
        if depth >= DEPTH_LIMIT:
            return self._drop()
        stored: list[object] = []
        for item in items:
            if not self._has_room():
                break
            if (new := self.value(item, decision, depth + 1)) is not DROPPED:
                stored.append(new)
        return stored or DROPPED

    def _has_room(self) -> bool:
        """Count one more node; False, and one field dropped, when the payload has had too many."""
        self._nodes_left -= 1
        if self._nodes_left >= 0:
            return True
        self._drop()
        return False

    def _drop(self) -> object:
        self.counts["dropped"] += 1
        return DROPPED


def inner_decision(outer: Decision, own: Decision) -> Decision:
    """Return the decision for a field in a container: the stricter of the container's and its own."""
    for action in (Action.REMOVE, Action.HASH, Action.BUCKET):
        if own.action is action:
            return own
        if outer.action is action:
            return outer
    return own


def decision_at(policy: Policy, path: Sequence[str]) -> Decision:
    """Return what *policy* says about the field at *path*: keys from the outermost, ``[]`` for elements."""
    decision = _NO_NAME
    for key in path:
        if key != "[]":
            decision = inner_decision(decision, policy.decide(key))
    return decision


def _strictness(decision: Decision) -> int:
    return _STRICTEST_FIRST.index(decision.action)
