"""How distributions and faults are written in a scenario file."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from streamlab_plugin.core.errors import ConfigError
from streamlab_plugin.scenario.distribution import Constant, Distribution, Exponential, Lognormal, Uniform
from streamlab_plugin.scenario.fault import Change, Fault, FaultPlan
from streamlab_plugin.scenario.form import (
    ByType,
    Choice,
    Flag,
    Form,
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

# Operations as they stand in a record, by protocol.
OPERATIONS: Mapping[str, tuple[str, ...]] = {
    "websocket": ("connect", "send", "request", "push", "close"),
    "mqtt": ("connect", "publish", "subscribe", "deliver", "close"),
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
    "drop_connection": {},
    "duplicate": {"copies": Key(Number(1, 100, whole=True), "How many besides the first; 1.")},
    "reorder": {"depth": Key(Number(1, 1000, whole=True), "How many later messages overtake it; 1.")},
    "truncate": {"keep_ratio": Key(Number(0, 0.999), "Part of the bytes that stays; 0.5.")},
    "corrupt": {"byte_count": Key(Number(1, 65536, whole=True), "How many bytes are changed; 1.")},
    "slow_consumer": {
        "delay_ms": Key(DISTRIBUTION, "Pause before each message that is read, in ms.", required=True)
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
    "duplicate": {"copies": 1},
    "reorder": {"depth": 1},
    "truncate": {"keep_ratio": 0.5},
    "corrupt": {"byte_count": 1},
    "schema_drift": {"changes": _DRIFT},
}
# Names that older files use.
_OLD_NAMES = {
    "delay": ("network_delays", "networkDelays"),
    "drop_connection": ("connection_drops", "connectionDrops"),
    "duplicate": ("duplicate_messages", "duplicateMessages"),
}
_WHEN = {
    "probability": Key(Number(0, 1), "How often it strikes, 0 to 1; 1."),
    "operations": Key(
        Shared("operations", Listing(Choice(_EVERY_OPERATION), most=len(_EVERY_OPERATION))),
        "Which operations it strikes, named as in a record; without it, all that it can touch.",
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
    when = {name: values[name] for name in _WHEN if name in values}
    return Fault(kind, **when, parameters={**_DEFAULTS.get(kind, {}), **given})


def _kind_form(kind: str) -> Form:
    """Return the form of a fault whose kind is the key that it stands under."""
    build = lambda values, places: _fault({"kind": kind, **values}, places)  # noqa: E731 - binds the kind
    return Shared(kind, Keys({**_WHEN, **_PARAMETERS[kind]}, build))


def _plan(values: dict[str, Any], _places: Mapping[str, Path]) -> FaultPlan:
    faults = [values[kind] for kind in KINDS if kind in values]
    is_on = values.get("enabled", True)
    return FaultPlan((*values.get("faults", ()), *faults) if is_on else (), values.get("seed", 0))


_FAULTS = Listing(
    Shared(
        "fault",
        Tagged(
            tag="kind",
            about="What happens.",
            choice=Choice(
                KINDS,
                {
                    other: kind
                    for kind in KINDS
                    for other in (camel(kind), *_OLD_NAMES.get(kind, ()))
                    if other != kind
                },
            ),
            common=_WHEN,
            variants=_PARAMETERS,
            build=_fault,
        ),
    ),
    most=100,
)
PLAN_KEYS: Mapping[str, Key] = {
    "enabled": Key(Flag(), "Whether any fault is injected; true."),
    "seed": Key(SEED, "Decides what the faults strike; 0."),
    "faults": Key(_FAULTS, "A list of faults, each with its kind."),
    **{
        kind: Key(_kind_form(kind), f"The fault {kind!r}.", others=_OLD_NAMES.get(kind, ())) for kind in KINDS
    },
}
PLAN = ByType({"array": Made(_FAULTS, FaultPlan), "object": Keys(PLAN_KEYS, _plan)})
