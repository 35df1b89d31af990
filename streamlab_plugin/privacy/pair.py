"""Name and value pairs: ``{"name": "email", "value": "…"}`` is a field called "email"."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

from streamlab_plugin.privacy.name import normalise

# Under these the name of a field is all but certain, so that a value goes whose name no list has.
_NAME_KEYS = "name key field fieldname attribute attr property prop param parameter header label question k n"
_NAMES: Final = frozenset(_NAME_KEYS.split())
# These say what something is as often as what it is called.
_KINDS: Final = frozenset(("type", "kind", "metric", "code", "id"))
_VALUE_KEYS = "value values val v content data answer"
_VALUES: Final = frozenset(_VALUE_KEYS.split())


class Pair(NamedTuple):
    """Which key of an object holds a field's name, and which its value.

    ``is_certain``: it is a name, so that a value goes whose name no list has.
    """

    name: str
    values: frozenset[str]
    is_certain: bool


def find_pair(keys: Iterable[object]) -> Pair | None:
    """Return the pair that an object with these *keys* is, or None."""
    plain = {normalise(key): key for key in keys if isinstance(key, str) and len(key) <= 16}
    values = frozenset(key for name, key in plain.items() if name in _VALUES)
    if not values:
        return None
    for names, is_certain in ((_NAMES, True), (_KINDS, False)):
        for name, key in plain.items():
            if name in names:
                return Pair(key, values, is_certain)
    return None
