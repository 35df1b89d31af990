"""What the users that plant have in common: a queue of plantings, and the tally of what they did."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import gevent
import msgspec
from locust import User, task

from streamlab_plugin.canary.planting import PROTOCOLS, Planting, plantings
from streamlab_plugin.canary.tally import VALUES, Tally, said

PLAN, PLANTED, SEEN = "plan.json", "planted.json", "seen.json"
# After the last exchange: pushes and deliveries are still on their way.
_AFTERWARDS_S = 1.0


class Plan(msgspec.Struct, frozen=True):
    """What a load is to be: written by whoever starts it, read in the working directory."""

    people: int
    seed: int
    ports: dict[str, int]

    def port(self, name: str) -> int:
        """Return the port of one of the target's servers."""
        return self.ports[name]


def read_plan() -> Plan:
    """Return the plan in the working directory."""
    return msgspec.json.decode(Path(PLAN).read_bytes(), type=Plan)


class Work:
    """The plantings of one process that are left to do."""

    def __init__(self, plan: Plan) -> None:
        self._left: dict[str, Iterator[Planting]] = {
            protocol: plantings(protocol, plan.seed, plan.people) for protocol in PROTOCOLS
        }
        self._open = set(PROTOCOLS)
        self._under_way = 0
        self._tally = Tally(Path(PLANTED))

    def take(self, protocol: str) -> Planting | None:
        """Return the next planting of a protocol, None when there is no other."""
        planting = next(self._left[protocol], None)
        if planting is None:
            self._open.discard(protocol)
            self._settle()
        else:
            self._under_way += 1
        return planting

    def done(self, planting: Planting, made: object) -> None:
        """Note that something was planted; *made* is what the target must have seen."""
        self._tally.note(planting.protocol, planting.number, made)
        self._tally.note(f"{VALUES} {planting.protocol}", planting.number, said(planting.values))
        self._under_way -= 1
        self._settle()

    def _settle(self) -> None:
        if not self._open and not self._under_way:
            self._under_way = -1  # once
            gevent.spawn_later(_AFTERWARDS_S, self._tally.write)


PLAN_HERE = read_plan()
WORK = Work(PLAN_HERE)


class Planter(User):
    """A user who takes one planting after the other; stands before a protocol's user."""

    abstract = True
    protocol: ClassVar[str]

    @task
    def plant(self) -> None:
        """Plant the next one by the method of its carrier, which may raise as a user's task would."""
        planting = WORK.take(self.protocol)
        if planting is None:
            gevent.sleep(0.2)
            return
        made = planting.made()
        way: Callable[[Planting, Any], object] = getattr(self, method_of(planting))
        sent: object = made
        try:
            answer = way(planting, made)
            sent = made if answer is None else answer
        finally:
            WORK.done(planting, sent)

    # ways that any protocol has

    def plant_exception_in_a_task(self, _planting: Planting, made: str) -> object:
        """Fail as a careless test does."""
        raise ValueError(made)


def method_of(planting: Planting) -> str:
    """Return the name of the method that plants by a carrier."""
    return "plant_" + "".join(char if char.isalpha() else "_" for char in planting.carrier.name.lower())
