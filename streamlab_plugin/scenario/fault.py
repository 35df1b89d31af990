"""A fault that is injected on purpose, as a value: what it does, to which operations, how often and when."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from streamlab_plugin.core.record import HTTP_METHODS

# Of messages that come unasked.
_RECEIVED = frozenset({"push", "deliver"})


@dataclass(frozen=True, slots=True)
class Change:
    """One change that schema drift makes to a JSON object.

    ``path`` is a field's name, or names joined by dots; in ``user.devices.0.os`` the number is a place
    in a list.

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
    """One fault and when it strikes.

    ``operations`` are named as in a record (``send``, ``publish``, ``POST``); empty means all that it can
    strike. Seconds count from the start of the load; it strikes from ``from_s`` until before ``until_s``.
    ``id`` is empty until `Faults` has named it.

    ================  ================================================================================
    kind              ``parameters``
    ================  ================================================================================
    delay             ``delay_ms``: a `Distribution`
    drop_connection   ``when``: ``before`` or ``after`` the message
    duplicate         ``copies``: how many besides the first
    reorder           ``depth``: how many later messages overtake it; ``hold_ms``: the longest wait for them
    truncate          ``keep_ratio``: the part of the bytes that stays, 0 to below 1
    corrupt           ``byte_count``: how many bytes are changed
    slow_consumer     ``delay_ms``: a `Distribution`, of the time in which nothing is read
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
    id: str = ""

    @property
    def label(self) -> str:
        """What records show of it: ``id:kind``."""
        return f"{self.id}:{self.kind}"

    def applies_to(self, operation: str) -> bool:
        """Whether it can strike *operation*."""
        if self.operations and operation not in self.operations:
            return False
        if operation in _RECEIVED:
            return self.kind == "slow_consumer"
        # Requests of HTTP have no order: each has a connection of its own while it lasts.
        return self.kind != "reorder" or operation not in HTTP_METHODS
