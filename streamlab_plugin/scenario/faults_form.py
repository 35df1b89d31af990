"""How the faults of a scenario are written: a list, or a mapping by kind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from streamlab_plugin.core.errors import ConfigError
from streamlab_plugin.scenario.fault import Fault
from streamlab_plugin.scenario.fault_form import FAULT, KINDS, OLD_NAMES, SEED, fault_of_kind
from streamlab_plugin.scenario.form import ByType, Flag, Listing, Path, Shared
from streamlab_plugin.scenario.injection import Faults
from streamlab_plugin.scenario.keys import Key, Keys

_MOST = 100


def _faults(faults: Sequence[Fault], seed: int, path: Path) -> Faults:
    try:
        return Faults(faults, seed)
    except ConfigError as error:
        raise ConfigError(error.what, path=path, remedy=error.remedy) from None


def _by_kind(values: dict[str, Any], places: Mapping[str, Path]) -> Faults:
    found = [*values.get("faults", ()), *(values[kind] for kind in KINDS if kind in values)]
    is_on = values.get("enabled", True)
    return _faults(found if is_on else (), values.get("seed", 0), places["faults"][:-1])


_FAULT = Shared("fault", FAULT)
_KEYS: Mapping[str, Key] = {
    "enabled": Key(Flag(), "Whether any fault is injected; true."),
    "seed": Key(SEED, "Decides what the faults strike; 0."),
    "faults": Key(Listing(_FAULT, _MOST), "A list of faults, each with its kind."),
    **{
        kind: Key(Shared(kind, fault_of_kind(kind)), f"The fault {kind!r}.", others=OLD_NAMES.get(kind, ()))
        for kind in KINDS
    },
}
FAULTS = ByType(
    {
        "array": Listing(_FAULT, _MOST, build=lambda faults, path: _faults(faults, 0, path)),
        "object": Keys(_KEYS, _by_kind),
    }
)
