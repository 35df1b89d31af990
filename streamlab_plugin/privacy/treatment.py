"""What a policy does to single values and to what lies inside objects and arrays."""

from __future__ import annotations

from typing import Final

from streamlab_plugin.privacy.detector import clean_text, is_clean
from streamlab_plugin.privacy.policy import Action, Policy
from streamlab_plugin.privacy.pseudonym import Pseudonyms
from streamlab_plugin.privacy.scalar import (
    DROPPED,
    PLAIN_NUMBER,
    bucket_value,
    bucketer,
    identifier,
    odd_number,
    shorten,
)
from streamlab_plugin.privacy.shape import DEPTH_LIMIT, NODE_LIMIT, is_field_name

COUNTS = ("kept", "dropped", "hashed", "bucketed", "scrubbed", "failed")
SCALARS: Final = frozenset({str, int, float, bool, type(None)})

_ACTIONS_LIMIT = 4096
_TEXTS_LIMIT = 4096
_REMEMBERED_LENGTH = 64


class Treatment:
    """Apply one policy to values and count what happened to them; every method returns what is stored.

    ``clean_texts`` are short strings seen before that need no scan.
    """

    def __init__(self, policy: Policy, pseudonyms: Pseudonyms) -> None:
        self.counts: dict[str, int] = dict.fromkeys(COUNTS, 0)
        self.clean_texts: set[str] = set()
        self.bucket = bucketer(policy.bucket_degrees)
        self._policy = policy
        self._pseudonym = pseudonyms.of
        self._actions: dict[str, Action] = {}
        self._nodes_left = NODE_LIMIT

    def action(self, name: str) -> Action:
        """Return what the policy says about the field *name*."""
        action = self._actions.get(name)
        if action is None:
            action = self._policy.action(name)
            if len(self._actions) < _ACTIONS_LIMIT:
                self._actions[name] = action
        return action

    def start(self, nodes: int) -> None:
        """Begin a payload of which *nodes* have been looked at already."""
        self._nodes_left = NODE_LIMIT - nodes

    def value(self, value: object, action: Action, depth: int) -> object:
        """Treat *value*, of a field under *action*, *depth* levels down, with all that is in it."""
        if type(value) is dict:
            return self._object(value, action, depth)
        if type(value) is list:
            return self._array(value, action, depth)
        if action is Action.DROP or action is Action.REMOVE or type(value) not in SCALARS:
            return self._drop()
        if action is Action.KEEP:
            self.counts["kept"] += 1
            return self._kept(value)
        if action is Action.BUCKET:
            self.counts["bucketed"] += 1
            return self.coordinate(value)
        self.counts["hashed"] += 1
        return value if value is None else self._pseudonym(identifier(value))

    def text(self, text: str) -> str:
        """Scan and shorten a kept string."""
        if is_clean(text):
            if len(text) <= _REMEMBERED_LENGTH:
                if len(self.clean_texts) >= _TEXTS_LIMIT:
                    self.clean_texts.clear()
                self.clean_texts.add(text)
            return shorten(text)
        cleaned = clean_text(text)
        if cleaned != text:
            self.counts["scrubbed"] += 1
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

    def coordinate(self, value: object) -> object:
        """Put a coordinate into its bucket."""
        new = bucket_value(value, self.bucket)
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

    def _object(self, fields: dict[str, object], outer: Action, depth: int) -> object:
        if depth >= DEPTH_LIMIT:
            return self._drop()
        stored: dict[str, object] = {}
        for name, value in fields.items():
            if not self._has_room():
                break
            # A key that is no field's name is data itself, and goes with its value.
            action = _inner(outer, self.action(name)) if is_field_name(name) else Action.REMOVE
            if action is Action.REMOVE:
                self.counts["dropped"] += 1
            elif (new := self.value(value, action, depth + 1)) is not DROPPED:
                stored[name] = new
        return stored or DROPPED

    def _array(self, items: list[object], action: Action, depth: int) -> object:
        if depth >= DEPTH_LIMIT:
            return self._drop()
        stored: list[object] = []
        for item in items:
            if not self._has_room():
                break
            if (new := self.value(item, action, depth + 1)) is not DROPPED:
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


def _inner(outer: Action, own: Action) -> Action:
    """Return the action for a field in a container: the stricter of the container's and its own."""
    for action in (Action.REMOVE, Action.HASH, Action.BUCKET):
        if own is action or outer is action:
            return action
    return own
