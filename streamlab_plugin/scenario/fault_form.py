"""How distributions and faults are written, in a scenario file as in a locustfile."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from streamlab_plugin.core.errors import ConfigError
from streamlab_plugin.scenario.distribution import Constant, Distribution, Exponential, Lognormal, Uniform
from streamlab_plugin.scenario.fault import Change, Fault
from streamlab_plugin.scenario.form import (
    ByType,
    Choice,
    Flag,
    Listing,
    Made,
    Number,
    Path,
    Shared,
    Text,
)
from streamlab_plugin.scenario.keys import Key, Keys, Tagged, camel

LONGEST_S = 7 * 24 * 3600.0  # a week
SEED = Number(0, 2**53, whole=True)  # what JSON keeps exact everywhere
_LONGEST_TIME = 24 * 3600 * 1000.0  # a day, in ms: neither a delay nor a thought takes longer
_TIME = Number(0, _LONGEST_TIME)
_TIME_ABOVE_0 = Number(0, _LONGEST_TIME, above=True)

# What can be struck, named as in a record, by protocol.
OPERATIONS: Mapping[str, tuple[str, ...]] = {
    "websocket": ("send", "request", "push"),
    "mqtt": ("publish", "deliver"),
    "http": ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"),
}
_EVERY_OPERATION = tuple(dict.fromkeys(name for names in OPERATIONS.values() for name in names))


def _uniform(values: tuple[float, ...], path: Path) -> Uniform:
    low, high = values
    if low > high:
        raise ConfigError(f"{low:g} is above {high:g}", path=path, remedy="write the lower bound first")
    return Uniform(low, high)


def _distribution(values: dict[str, Any], places: Mapping[str, Path]) -> Distribution:
    match values["distribution"]:
        case "constant":
            return Constant(values["value"])
        case "uniform":
            return _uniform((values["low"], values["high"]), places["high"])
        case "exponential":
            return Exponential(values["mean"])
        case _:
            return Lognormal(values["median"], values["sigma"])


_SHAPES = Tagged(
    tag="distribution",
    about="Shape of the distribution.",
    choice=Choice(("constant", "uniform", "exponential", "lognormal")),
    common={},
    variants={
        "constant": {"value": Key(_TIME, "The value.", required=True)},
        "uniform": {
            "low": Key(_TIME, "Lower bound.", required=True),
            "high": Key(_TIME, "Upper bound.", required=True),
        },
        "exponential": {"mean": Key(_TIME_ABOVE_0, "The mean.", required=True)},
        "lognormal": {
            "median": Key(_TIME_ABOVE_0, "The median.", required=True),
            "sigma": Key(Number(0, 5), "Standard deviation of the logarithm.", required=True),
        },
    },
    build=_distribution,
)
# A number is constant, a list of two uniform.
DISTRIBUTION = Shared(
    "distribution",
    ByType(
        {
            "number": Made(_TIME, Constant),
            "array": Listing(_TIME, most=2, fewest=2, build=_uniform),
            "object": _SHAPES,
        }
    ),
)

_FIELD_PATH = Text(
    200, r"^[^.\x00-\x1f\x7f-\x9f]+(\.[^.\x00-\x1f\x7f-\x9f]+)*$", "write field names joined by dots"
)
_NEW_VALUE = ByType({"string": Text(200), "number": Number(-1e15, 1e15), "boolean": Flag()})
_CHANGES = Tagged(
    tag="change",
    about="What is done to the field.",
    choice=Choice(("rename", "remove", "retype", "add")),
    common={"path": Key(_FIELD_PATH, "Field name, or names joined by dots.", required=True)},
    variants={
        "rename": {
            "to": Key(
                Text(200, r"^[^.\x00-\x1f\x7f-\x9f]+$", "write a name without dots"),
                "New name.",
                required=True,
            )
        },
        "remove": {},
        "retype": {
            "to": Key(
                Choice(("string", "number", "boolean", "null", "list", "object")), "New type.", required=True
            )
        },
        "add": {"value": Key(_NEW_VALUE, "Value of the new field.", required=True)},
    },
    build=lambda values, _places: Change(
        values["change"], values["path"], values.get("to", values.get("value"))
    ),
)
# Visible in any payload.
_DRIFT = (Change("add", "unexpected_field", "drift"),)

_PARAMETERS: Mapping[str, Mapping[str, Key]] = {
    "delay": {
        "delay_ms": Key(
            DISTRIBUTION, "How long, in milliseconds.", required=True, others=("range_ms", "rangeMs")
        )
    },
    "drop_connection": {
        "when": Key(Choice(("before", "after")), "Before the message is sent, or behind it; after.")
    },
    "duplicate": {"copies": Key(Number(1, 100, whole=True), "How many besides the first; 1.")},
    "reorder": {
        "depth": Key(Number(1, 1000, whole=True), "How many later messages overtake it; 1."),
        "hold_ms": Key(_TIME, "How long it waits for them at most, in milliseconds; 1,000."),
    },
    "truncate": {"keep_ratio": Key(Number(0, 0.999), "Part of the bytes that stays; 0.5.")},
    "corrupt": {"byte_count": Key(Number(1, 65536, whole=True), "How many bytes are changed; 1.")},
    "slow_consumer": {
        "delay_ms": Key(DISTRIBUTION, "How long nothing is read, in milliseconds.", required=True)
    },
    "schema_drift": {
        "changes": Key(
            Listing(Shared("change", _CHANGES), most=50, fewest=1),
            "What changes; without it, a field 'unexpected_field' is added.",
        )
    },
    "malformed": {},
}
KINDS = tuple(_PARAMETERS)
_DEFAULTS: Mapping[str, Mapping[str, Any]] = {
    "drop_connection": {"when": "after"},
    "duplicate": {"copies": 1},
    "reorder": {"depth": 1, "hold_ms": 1000.0},
    "truncate": {"keep_ratio": 0.5},
    "corrupt": {"byte_count": 1},
    "schema_drift": {"changes": _DRIFT},
}
# Names that older files use.
OLD_NAMES = {
    "delay": ("network_delays", "networkDelays"),
    "drop_connection": ("connection_drops", "connectionDrops"),
    "duplicate": ("duplicate_messages", "duplicateMessages"),
}
# An id reaches every table, page and export: a short plain name and nothing else.
_ID = Text(40, r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", "use at most 40 letters, digits, '.', '_' and '-'")
_COMMON = {
    "id": Key(_ID, "What records show of it; its kind."),
    "probability": Key(Number(0, 1), "How often it strikes, 0 to 1; 1."),
    "operations": Key(
        Shared("operations", Listing(Choice(_EVERY_OPERATION), most=len(_EVERY_OPERATION))),
        "Which operations it strikes, named as in a record; without it, all that it can strike.",
    ),
    "from_s": Key(Number(0, LONGEST_S), "From this second of the load on; 0."),
    "until_s": Key(Number(0, LONGEST_S, above=True), "Until before this second; the end."),
}


def _fault(values: dict[str, Any], places: Mapping[str, Path]) -> Fault:
    kind = values["kind"]
    if values.get("until_s", math.inf) <= values.get("from_s", 0):
        raise ConfigError(
            f"{values['until_s']:g} is not after from_s", path=places["until_s"], remedy="use a later second"
        )
    given = {name: values[name] for name in _PARAMETERS[kind] if name in values}
    common = {name: values[name] for name in _COMMON if name in values}
    fault = Fault(kind, **common, parameters={**_DEFAULTS.get(kind, {}), **given})
    if fault.operations and not any(map(fault.applies_to, fault.operations)):
        raise ConfigError(
            f"{kind} strikes no {' and no '.join(fault.operations)}",
            path=places["operations"],
            remedy="name other operations or another kind",
        )
    return fault


FAULT = Tagged(
    tag="kind",
    about="What happens.",
    choice=Choice(
        KINDS,
        {other: kind for kind in KINDS for other in (camel(kind), *OLD_NAMES.get(kind, ())) if other != kind},
    ),
    common=_COMMON,
    variants=_PARAMETERS,
    build=_fault,
)


def fault_of_kind(kind: str) -> Keys:
    """Return the form of a fault whose kind is the key that it stands under."""
    return Keys(
        {**_COMMON, **_PARAMETERS[kind]}, lambda values, places: _fault({"kind": kind, **values}, places)
    )


def parse_fault(data: object, path: Path = ()) -> Fault:
    """Check one fault given as plain values, with the keys that it has in a scenario file.

    Raises:
        ConfigError: It is no fault; ``problems`` has each mistake with its path.
    """
    fault: Fault = FAULT.read(data, path)
    return fault
