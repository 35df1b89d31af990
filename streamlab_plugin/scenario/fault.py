"""Which faults a scenario injects, as values; what injects them belongs to the users."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Change:
    """One change that schema drift makes to a JSON object.

    ``path`` is a field's name, or names joined by dots (``user.device.os``).

    ========  ==========================================================================================
    change    ``value``
    ========  ==========================================================================================
    rename    the field's new name
    remove    None
    retype    the new type: ``string``, ``number``, ``boolean``, ``null``, ``list`` or ``object``
    add       the new field's value: a text, a number, True or False
    ========  ==========================================================================================
    """

    change: str
    path: str
    value: str | float | bool | None = None


@dataclass(frozen=True, slots=True)
class Fault:
    """One kind of fault and when it strikes.

    ``operations`` are named as in a record (``send``, ``publish``, ``POST``); empty means all that it can
    touch. Seconds count from the start of the load; it strikes from ``from_s`` until before ``until_s``.

    ================  ================================================================================
    kind              ``parameters``
    ================  ================================================================================
    delay             ``delay_ms``: a `Distribution`
    drop_connection   none
    duplicate         ``copies``: how many besides the first
    reorder           ``depth``: how many later messages overtake it
    truncate          ``keep_ratio``: the part of the bytes that stays, 0 to below 1
    corrupt           ``byte_count``: how many bytes are changed
    slow_consumer     ``delay_ms``: a `Distribution`, before each message that is read
    schema_drift      ``changes``: a tuple of `Change`
    malformed         none
    ================  ================================================================================
    """

    kind: str
    probability: float = 1.0
    operations: tuple[str, ...] = ()
    from_s: float = 0.0
    until_s: float = math.inf
    parameters: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class FaultPlan:
    """All faults of a scenario; the seed decides what they strike. Without faults it is false."""

    faults: tuple[Fault, ...] = ()
    seed: int = 0

    def __bool__(self) -> bool:
        return bool(self.faults)


NO_FAULTS = FaultPlan()
