"""Striking: what the injected faults of one user do to its operations.

Which of them is struck is decided in `scenario.injection`; how a protocol writes, drops a connection or stops
reading is told by a `Wire`. What a fault touches says so: `Strike.marked` puts its label into the record.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import partial
from random import Random
from time import perf_counter
from typing import Any, NamedTuple

import gevent

from streamlab_plugin.core.record import Detail
from streamlab_plugin.scenario.fault import Fault
from streamlab_plugin.scenario.fault_form import OPERATIONS
from streamlab_plugin.scenario.injection import Faults, delay_s
from streamlab_plugin.scenario.mutation import mutated
from streamlab_plugin.users.clock import epoch_s
from streamlab_plugin.users.closing import closers

# A server may end the connection over them, under the request that carried them.
_PROVOKING = frozenset({"duplicate", "truncate", "corrupt", "schema_drift", "malformed"})


class ConnectionDroppedError(ConnectionError):
    """An injected fault closed the connection."""

    def __init__(self) -> None:
        super().__init__("an injected fault dropped the connection")


class Wire(NamedTuple):
    """What a fault may do with the connection of the operation that it strikes.

    *write* sends the operation's message; *repeat* sends a copy that nobody accounts for; *drop* closes the
    connection without a goodbye; *pause* stops reading for so many seconds. All but *write* return at once.
    """

    write: Callable[[bytes], object]
    repeat: Callable[[bytes], object]
    drop: Callable[[], None]
    pause: Callable[[float], None]


class Strike:
    """A fault at one operation.

    ``wait_ms`` is what it made the operation wait before it was sent. An operation in its *aftermath* is
    touched by a fault that struck another one, and carries its label.
    """

    __slots__ = ("dice", "fault", "has_struck", "is_aftermath", "wait_ms")

    def __init__(self, fault: Fault, dice: Random, *, is_aftermath: bool = False) -> None:
        self.fault = fault
        self.dice = dice
        self.is_aftermath = is_aftermath
        self.has_struck = True
        self.wait_ms: float | None = None

    @property
    def holds_back(self) -> bool:
        """Whether the message has to wait until others were sent."""
        return self.fault.kind == "reorder"

    @property
    def provokes(self) -> bool:
        """Whether a connection that ends under the operation was ended over it."""
        return self.has_struck and self.fault.kind in _PROVOKING

    @property
    def label(self) -> str | None:
        """What the record shows, None where the fault found nothing to change."""
        return self.fault.label if self.has_struck else None

    def body(self, data: bytes) -> bytes:
        """Return the payload that is to be sent instead of *data*."""
        if self.is_aftermath:
            return data
        changed = mutated(self.fault, self.dice, data)
        self.has_struck = changed is not None
        return data if changed is None else changed

    def marked(self, detail: Detail) -> Detail:
        """Return *detail* with the label and the wait."""
        return detail._replace(fault=self.label, wait_ms=self.wait_ms)


class _Held:
    """A message that is held back."""

    __slots__ = ("give_up", "overtaking", "send", "since", "strike", "timer")

    def __init__(self, strike: Strike, send: Callable[[], object], give_up: Callable[[], object]) -> None:
        self.strike = strike
        self.send = send
        self.give_up = give_up
        self.since = perf_counter()
        given = strike.fault.parameters
        self.overtaking: int = given["depth"]  # messages that have yet to pass
        self.timer: Any = gevent.get_hub().loop.timer(given["hold_ms"] / 1000.0)


class Injector:
    """Strike the operations of one user.

    Args:
        name: The same for the same user of a repetition.
        began: When the test began, a `perf_counter` reading.
    """

    def __init__(self, user: Any, faults: Faults, name: str, began: float) -> None:
        self._user = user
        self._faults = faults
        self._name = name
        self._began = began
        self._numbers: Counter[str] = Counter()
        self._slow: Strike | None = None
        self._slow_until = 0.0
        self._held: list[_Held] = []
        self._is_watching = False

    def strike(self, operation: str) -> Strike | None:
        """Decide what strikes the next *operation*; a ``delay`` has passed on return.

        To be called before the operation looks for its connection, and once per operation.
        """
        strike = self._drawn(operation) or self._aftermath()
        if strike is not None and strike.fault.kind == "delay":
            begun = perf_counter()
            gevent.sleep(delay_s(strike.fault, strike.dice))
            strike.wait_ms = (perf_counter() - begun) * 1000.0
        if self._held and (strike is None or not strike.holds_back):
            # They go when this greenlet next gives way: behind what it is about to write.
            for held in tuple(self._held):
                held.overtaking -= 1
                if held.overtaking == 0:
                    self._let_go(held)
        return strike

    def send(self, strike: Strike, data: bytes, wire: Wire) -> None:
        """Send *data* as the fault wants it.

        Raises:
            ConnectionDroppedError: That was the fault.
            OSError: The peer is gone.
        """
        kind = strike.fault.kind
        if kind == "drop_connection":
            if strike.fault.parameters["when"] == "after":
                wire.repeat(data)
            wire.drop()
            raise ConnectionDroppedError
        if kind == "slow_consumer" and not strike.is_aftermath:
            self._slow_down(strike, wire.pause)
        wire.write(data)
        if kind == "duplicate":
            for _ in range(strike.fault.parameters["copies"]):
                wire.repeat(data)

    def received(self, operation: str, pause: Callable[[Strike, float], None]) -> Strike | None:
        """Decide what strikes a message that came: reading pauses behind it."""
        strike = self._drawn(operation)
        if strike is not None:
            self._slow_down(strike, partial(pause, strike))
        return strike

    def hold(self, strike: Strike, send: Callable[[], object], give_up: Callable[[], object]) -> None:
        """Hold a message back: *send* is called, in a greenlet, behind the next ones or when its time is up.

        *give_up* is called instead when the user ends before, in the hub; it must not block.
        """
        if not self._is_watching and self._user.greenlet is not None:
            self._is_watching = True
            self._user.greenlet.rawlink(self._ended)
        held = _Held(strike, send, give_up)
        self._held.append(held)
        held.timer.start(self._let_go, held)

    def late(self, sent_at: float | None) -> Strike | None:
        """Return the strike that delays the delivery of what was sent at this epoch second, if any."""
        if self._slow is None or sent_at is None or sent_at >= epoch_s(self._slow_until):
            return None
        return self._slow

    def _drawn(self, operation: str) -> Strike | None:
        self._numbers[operation] += 1
        struck = self._faults.strike(
            self._name, operation, self._numbers[operation], perf_counter() - self._began
        )
        return None if struck is None else Strike(*struck)

    def _slow_down(self, strike: Strike, pause: Callable[[float], None]) -> None:
        """Pause reading, unless it does already."""
        now = perf_counter()
        if now >= self._slow_until:
            pause_s = delay_s(strike.fault, strike.dice)
            self._slow, self._slow_until = strike, now + pause_s
            pause(pause_s)

    def _aftermath(self) -> Strike | None:
        """Return the strike that makes answers wait: while nothing is read, all are late."""
        if self._slow is None or perf_counter() >= self._slow_until:
            return None
        return Strike(self._slow.fault, self._slow.dice, is_aftermath=True)

    def _let_go(self, held: _Held) -> None:
        if held in self._held:
            self._held.remove(held)
            held.timer.close()
            closers(self._user.environment).spawn(_send, held)

    def _ended(self, _greenlet: object) -> None:
        """Settle what is held back when the user is over; runs in the hub."""
        held, self._held = self._held, []
        for one in held:
            one.timer.close()
            one.give_up()


def _send(held: _Held) -> None:
    held.strike.wait_ms = (perf_counter() - held.since) * 1000.0
    held.send()


class _Roll:
    """Which users an environment had in its present test: their numbers, and when the first one came."""

    def __init__(self, environment: Any) -> None:
        self.count: Counter[str] = Counter()
        self.began: float | None = None
        environment.events.test_start.add_listener(self._begin)

    def _begin(self, **_event: Any) -> None:
        """Count anew; the very first test has begun before there is a roll."""
        self.count.clear()
        self.began = None


def check(faults: object) -> None:
    """Check the attribute ``faults`` of a user.

    Raises:
        ValueError: It is no `Faults`; the text begins with the attribute's name.
    """
    if faults and not isinstance(faults, Faults):
        raise ValueError(f"faults must be Faults([...]), got {type(faults).__name__}")


def idle(faults: Faults | None, protocol: str) -> list[str]:
    """Return a line, which begins with the attribute, for each fault that strikes nothing of *protocol*."""
    operations = OPERATIONS[protocol]
    return [
        f"faults: {fault.label!r} strikes nothing here, only {', '.join(operations)} could be struck"
        for fault in (faults.faults if faults else ())
        if not any(fault.applies_to(one) for one in operations)
    ]


def of(user: Any) -> Injector | None:
    """Return what injects the faults of *user*'s class, None if it has none; they have been checked."""
    faults = user.faults
    if not faults:
        return None
    name = type(user).__name__
    environment = user.environment
    roll: _Roll | None = getattr(environment, "streamlab_roll", None)
    if roll is None:
        roll = environment.streamlab_roll = _Roll(environment)
    if roll.began is None:
        roll.began = perf_counter()
    roll.count[name] += 1
    worker = getattr(environment.runner, "worker_index", 0)
    return Injector(user, faults, f"{name}/{worker}/{roll.count[name]}", roll.began)
