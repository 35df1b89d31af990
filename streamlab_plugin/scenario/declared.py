"""A fault that is injected on purpose: what it does, to which operations, how often and when."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, cast, get_args

from streamlab_plugin.core.errors import ConfigError
from streamlab_plugin.core.record import HTTP_METHODS

Kind = Literal[
    "delay",
    "drop_connection",
    "duplicate",
    "reorder",
    "truncate",
    "corrupt",
    "slow_consumer",
    "schema_drift",
    "malformed",
]
Path = tuple[str | int, ...]
_Reader = Callable[[object, Path], Any]

KINDS: tuple[Kind, ...] = get_args(Kind)
DISTRIBUTIONS = ("constant", "uniform", "exponential", "lognormal")
TYPES = ("string", "number", "boolean", "null", "array", "object")
OPERATIONS = frozenset({"send", "request", "publish"}) | HTTP_METHODS
# An id reaches every table, page and export: a short plain name and nothing else.
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,39}")


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault; `parse_fault` makes it of plain values and checks them.

    It strikes each of *operations* (none named: all that its kind applies to) with *probability*, from
    *from_s* until *until_s* seconds after the test began. *parameters* are those of its kind, complete.
    """

    id: str
    kind: Kind
    probability: float
    operations: frozenset[str] = frozenset()
    from_s: float = 0.0
    until_s: float = math.inf
    parameters: Mapping[str, Any] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """What records show of it: ``id:kind``."""
        return f"{self.id}:{self.kind}"

    def applies_to(self, operation: str) -> bool:
        """Whether it can strike *operation*."""
        if self.operations and operation not in self.operations:
            return False
        # Requests of HTTP have no order: each has a connection of its own while it lasts.
        return self.kind != "reorder" or operation not in HTTP_METHODS


def parse_fault(data: object, path: Path = ()) -> Fault:
    """Check one fault given as plain values: ``id, kind, probability`` and what its kind takes.

    Raises:
        ConfigError: A key is unknown or missing, or a value of the wrong type or out of range.
    """
    if not isinstance(data, Mapping):
        raise ConfigError(f"expected keys and values, got {_shown(data)}", path=path)
    given = cast("Mapping[str, object]", data)
    kind: Any = _one_of(KINDS, "kind")(_required(given, "kind", path), (*path, "kind"))
    own = _PARAMETERS[kind]
    _refuse_unknown(given, (*_COMMON, *own), path)
    operations = _operations(given.get("operations", ()), (*path, "operations"))
    from_s = _number()(given.get("from_s", 0.0), (*path, "from_s"))
    until_s = math.inf
    if given.get("until_s") is not None:
        until_s = _number()(given["until_s"], (*path, "until_s"))
        if until_s <= from_s:
            raise ConfigError(f"{until_s:g} is not after from_s {from_s:g}", path=(*path, "until_s"))
    parameters = {
        name: read(given[name], (*path, name)) if name in given else default
        for name, (read, default) in own.items()
    }
    fault = Fault(
        _id(_required(given, "id", path), (*path, "id")),
        kind,
        _number(high=1.0)(_required(given, "probability", path), (*path, "probability")),
        operations,
        from_s,
        until_s,
        parameters,
    )
    _agree(fault, path)
    return fault


def _agree(fault: Fault, path: Path) -> None:
    """Raise `ConfigError` where values that are right by themselves do not go together."""
    given = fault.parameters
    here = (*path, "to")
    if fault.operations and not any(fault.applies_to(operation) for operation in fault.operations):
        raise ConfigError(
            "HTTP requests have no order", path=(*path, "operations"), remedy="use another kind"
        )
    if fault.kind == "delay" and (given["max_ms"] is not None or given["distribution"] == "uniform"):
        if given["max_ms"] is None:
            raise ConfigError("the key 'max_ms' is missing", path=path, remedy="add 'max_ms'")
        if given["max_ms"] < given["delay_ms"]:
            raise ConfigError(f"{given['max_ms']:g} is less than delay_ms", path=(*path, "max_ms"))
    if fault.kind != "schema_drift":
        return
    for name in ("action", "path"):
        if given[name] is None:
            raise ConfigError(f"the key {name!r} is missing", path=path, remedy=f"add {name!r}")
    action, to = given["action"], given["to"]
    if action == "rename" and not (isinstance(to, str) and to):
        raise ConfigError(f"expected the new name, got {_shown(to)}", path=here)
    if action == "retype":
        _one_of(TYPES, "type")(to, here)
    if action == "remove" and to is not None:
        raise ConfigError("a field that is removed becomes nothing", path=here, remedy="drop this key")


def _number(low: float = 0.0, high: float = math.inf) -> _Reader:
    def read(data: object, path: Path) -> float:
        if isinstance(data, bool) or not isinstance(data, int | float) or not math.isfinite(data):
            raise ConfigError(f"expected a number, got {_shown(data)}", path=path)
        if not low <= data <= high:
            bounds = f"{low:g} or more" if high == math.inf else f"from {low:g} to {high:g}"
            raise ConfigError(f"{data} is out of range", path=path, remedy=f"use a number {bounds}")
        return float(data)

    return read


def _count(data: object, path: Path) -> int:
    if isinstance(data, bool) or not isinstance(data, int) or not 1 <= data <= 1_000_000:
        raise ConfigError(f"expected a whole number from 1, got {_shown(data)}", path=path)
    return data


def _one_of(choices: tuple[str, ...], what: str) -> _Reader:
    def read(data: object, path: Path) -> str:
        if not isinstance(data, str) or data not in choices:
            raise ConfigError(f"unknown {what} {_shown(data)}", path=path, remedy=_known(data, choices))
        return data

    return read


def _field_path(data: object, path: Path) -> str:
    if not isinstance(data, str) or not all(data.split(".")):
        raise ConfigError(
            f"expected a path, got {_shown(data)}", path=path, remedy="write it like user.address.0.city"
        )
    return data


def _json(data: object, path: Path) -> Any:
    if isinstance(data, Mapping):
        return {str(key): _json(value, path) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [_json(value, path) for value in data]
    if data is not None and not isinstance(data, str | int | float):
        raise ConfigError(f"{_shown(data)} has no place in JSON", path=path)
    return data


def _id(data: object, path: Path) -> str:
    if not isinstance(data, str) or not _ID.fullmatch(data):
        raise ConfigError(
            f"{_shown(data)} is no id", path=path, remedy="use at most 40 letters, digits, '.', '_' and '-'"
        )
    return data


def _operations(data: object, path: Path) -> frozenset[str]:
    named = (data,) if isinstance(data, str) else data
    if not isinstance(named, Iterable) or isinstance(named, Mapping):
        raise ConfigError(f"expected names of operations, got {_shown(data)}", path=path)
    read = _one_of(tuple(sorted(OPERATIONS)), "operation")
    return frozenset(read(name, path) for name in named)


def _required(data: Mapping[str, object], key: str, path: Path) -> object:
    if key not in data:
        raise ConfigError(f"the key {key!r} is missing", path=path, remedy=f"add {key!r}")
    return data[key]


def _refuse_unknown(data: Mapping[str, object], names: tuple[str, ...], path: Path) -> None:
    for key in data:
        if key not in names:
            raise ConfigError(f"unknown key {_shown(key)}", path=(*path, str(key)), remedy=_known(key, names))


def _known(given: object, names: tuple[str, ...]) -> str:
    near = difflib.get_close_matches(str(given), names, n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    return f"{hint}known: {', '.join(names)}"


def _shown(value: object) -> str:
    if value is None:
        return "nothing"
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


_COMMON = ("id", "kind", "probability", "operations", "from_s", "until_s")
_MS = _number(high=3_600_000.0)
# kind -> parameter -> (how it is read, default)
_PARAMETERS: Mapping[str, Mapping[str, tuple[_Reader, Any]]] = {
    "delay": {
        "distribution": (_one_of(DISTRIBUTIONS, "distribution"), "constant"),
        "delay_ms": (_MS, 100.0),  # the value, the least, the mean, the median
        "max_ms": (_MS, None),  # the most; only the uniform one needs it
        "sigma": (_number(high=5.0), 0.5),  # of the lognormal one
    },
    "drop_connection": {"when": (_one_of(("before", "after"), "moment"), "after")},
    "duplicate": {},
    "reorder": {"hold_ms": (_MS, 1_000.0)},
    "truncate": {"share_kept": (_number(high=0.999), 0.5)},
    "corrupt": {"flips": (_count, 1)},
    "slow_consumer": {"pause_ms": (_MS, 1_000.0)},
    "schema_drift": {
        "action": (_one_of(("rename", "remove", "retype", "add"), "action"), None),
        "path": (_field_path, None),
        "to": (_json, None),  # the new name, the new type, the added value
    },
    "malformed": {},
}
