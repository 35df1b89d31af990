"""What faults make of a payload on its way out: pure functions on bytes."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from random import Random
from typing import Any

from streamlab_plugin.scenario.fault import Change, Fault

MALFORMED = b'{"malformed": '


def mutated(fault: Fault, dice: Random, data: bytes) -> bytes | None:
    """Return what *fault* makes of *data*: *data* itself if payloads are not its business.

    None means that it would change this one, but cannot: it is empty, or has no such field.
    """
    mutate = _MUTATIONS.get(fault.kind)
    if mutate is None:
        return data
    changed = mutate(fault.parameters, dice, data) if data else None
    return None if changed == data else changed


def _truncated(given: Mapping[str, Any], _dice: Random, data: bytes) -> bytes | None:
    return data[: min(int(len(data) * given["keep_ratio"]), len(data) - 1)]


def _corrupted(given: Mapping[str, Any], dice: Random, data: bytes) -> bytes | None:
    changed = bytearray(data)
    for at in dice.sample(range(len(data)), min(given["byte_count"], len(data))):
        # Never the highest bit: ASCII stays ASCII, and a text frame a text that the server has to parse.
        changed[at] ^= dice.randrange(1, 128)
    return bytes(changed)


def _malformed(_given: Mapping[str, Any], _dice: Random, _data: bytes) -> bytes | None:
    return MALFORMED


def _drifted(given: Mapping[str, Any], _dice: Random, data: bytes) -> bytes | None:
    """Return the JSON *data* with fields changed, None where it has none of them."""
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        return None
    made = [_change(document, change) for change in given["changes"]]
    if not any(made):
        return None
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")


def _change(document: object, change: Change) -> bool:
    """Make one change; tell whether it could be made."""
    *way, name = change.path.split(".")
    place = document
    for part in way:
        place = _entered(place, part)
    if not isinstance(place, dict) or (change.change != "add" and name not in place):
        return False
    match change.change:
        case "add":
            place[name] = change.value
        case "remove":
            del place[name]
        case "rename":
            # In its place: the order of keys tells nothing away.
            items = [(change.value if key == name else key, value) for key, value in place.items()]
            place.clear()
            place.update(items)
        case _:
            place[name] = _retyped(place[name], change.value)
    return True


def _entered(place: object, part: str) -> object:
    if isinstance(place, dict):
        return place.get(part)
    if isinstance(place, list) and part.isdecimal() and int(part) < len(place):
        return place[int(part)]
    return None


def _retyped(value: Any, to: object) -> Any:
    if to == "string":
        return value if isinstance(value, str) else json.dumps(value)
    if to == "number":
        return value if isinstance(value, int | float) and not isinstance(value, bool) else 0
    if to == "boolean":
        return bool(value)
    if to == "null":
        return None
    if to == "list":
        return value if isinstance(value, list) else [value]
    return value if isinstance(value, dict) else {"value": value}


_MUTATIONS: dict[str, Callable[[Mapping[str, Any], Random, bytes], bytes | None]] = {
    "truncate": _truncated,
    "corrupt": _corrupted,
    "malformed": _malformed,
    "schema_drift": _drifted,
}
