"""Which fault strikes the n-th operation of a user: a pure function of the seed, not of the time it takes.

There is no generator whose state depends on who drew before: each operation is hashed with the seed, so that
greenlets, reconnections and slow servers change nothing in what is struck.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from hashlib import blake2b
from random import Random

from streamlab_plugin.core.errors import ConfigError
from streamlab_plugin.scenario.fault import Fault
from streamlab_plugin.scenario.fault_form import parse_fault

_UNIT = 2.0**-53
# Some distributions have no end; a day is what can be written.
_LONGEST_S = 24 * 3600.0


@dataclass(frozen=True, init=False)
class Faults:
    """The faults of a scenario or of a user class; without any it is false.

    At most one strikes an operation, so that each has exactly its own probability.

    Args:
        faults: `Fault` values, or mappings as `parse_fault` takes them. One without an id gets the name of
            its kind, with -2, -3 … where that is taken.
        seed: The same seed gives the same faults.

    Raises:
        ConfigError: A fault is wrong, an id occurs twice, or the probabilities of faults that are active at
            the same time for the same operation add up to more than 1.
    """

    faults: tuple[Fault, ...]
    seed: int

    def __init__(self, faults: Sequence[Fault | Mapping[str, object]] = (), seed: int = 0) -> None:
        read = [one if isinstance(one, Fault) else parse_fault(one, (at,)) for at, one in enumerate(faults)]
        _refuse_repeated(read)
        named = _named(read)
        _refuse_certain(named)
        object.__setattr__(self, "faults", named)
        object.__setattr__(self, "seed", seed)

    @cached_property
    def _key(self) -> bytes:
        return blake2b(str(self.seed).encode(), digest_size=16).digest()

    @cached_property
    def _by_operation(self) -> dict[str, tuple[Fault, ...]]:
        return {}

    def __len__(self) -> int:
        return len(self.faults)

    def strike(self, user: str, operation: str, number: int, at_s: float) -> tuple[Fault, Random] | None:
        """Return the fault that strikes an operation, and dice for its details; None for none.

        Args:
            user: Who it is, the same in each repetition.
            number: Of the operation among the user's operations of that name, from 1.
            at_s: Seconds since the test began; faults outside their time do not strike.
        """
        candidates = self._by_operation.get(operation)
        if candidates is None:
            candidates = tuple(one for one in self.faults if one.applies_to(operation))
            self._by_operation[operation] = candidates
        if not candidates:
            return None
        name = f"{user}\0{operation}\0{number}".encode()
        digest = blake2b(name, key=self._key, digest_size=16).digest()
        chance = (int.from_bytes(digest[:8]) >> 11) * _UNIT
        for fault in candidates:
            if fault.from_s <= at_s < fault.until_s:
                if chance < fault.probability:
                    return fault, Random(int.from_bytes(digest[8:]))
                chance -= fault.probability
        return None


def delay_s(fault: Fault, dice: Random) -> float:
    """Return how long a ``delay`` or a ``slow_consumer`` lasts."""
    delay_ms: float = fault.parameters["delay_ms"].sample(dice)
    return min(delay_ms / 1000.0, _LONGEST_S)


def _named(faults: Sequence[Fault]) -> tuple[Fault, ...]:
    taken = {one.id for one in faults}
    named = []
    for fault in faults:
        name, number = fault.id or fault.kind, 1
        while not fault.id and name in taken:
            number += 1
            name = f"{fault.kind}-{number}"
        taken.add(name)
        named.append(replace(fault, id=name))
    return tuple(named)


def _refuse_repeated(faults: Sequence[Fault]) -> None:
    seen = set()
    for at, fault in enumerate(faults):
        if fault.id and fault.id in seen:
            raise ConfigError(f"the id {fault.id!r} occurs twice", path=(at, "id"), remedy="rename one")
        seen.add(fault.id)


def _refuse_certain(faults: Sequence[Fault]) -> None:
    """Raise `ConfigError` where more than every operation would have to be struck."""
    named = {operation for fault in faults for operation in fault.operations}
    # Faults that name no operation meet at a request.
    for operation in sorted(named | {"request"}):
        concerned = [one for one in faults if one.applies_to(operation)]
        for at_s in {one.from_s for one in concerned}:
            active = [one for one in concerned if one.from_s <= at_s < one.until_s]
            total = math.fsum(one.probability for one in active)
            if total > 1.0 + 1e-9:
                ids = ", ".join(one.id for one in active)
                where = f" for {operation!r}" if operation in named else ""
                raise ConfigError(
                    f"the probabilities of {ids} add up to {total:g}{where} at {at_s:g} s",
                    remedy="at most one fault strikes an operation: they may add up to 1",
                )
