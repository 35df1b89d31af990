"""One attempt at a target: its deadline, its phases, and what was learnt on the way.

Whatever the target does, sends drop by drop or nothing at all, the attempt ends at its deadline: then the
connection is shut down under whoever reads from it.
"""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import perf_counter

from streamlab_plugin.probe.address import Address
from streamlab_plugin.probe.answer import OK, PROTOCOL, TIMEOUT, TLS, Answer, Fact, Failure

TOTAL = "total"


class Attempt:
    """The state of one attempt.

    Args:
        address: Where to.
        timeout_s: When to give up, counted from now.
    """

    def __init__(self, address: Address, timeout_s: float) -> None:
        self.address = address
        self.timings_ms: dict[str, float] = {}
        self.facts: dict[str, Fact] = {}
        self.warnings: list[str] = []
        self.phase_name = ""
        self.is_cut = False
        self._timeout_s = timeout_s
        self._began = perf_counter()
        self._sockets: list[socket.socket] = []
        self._timers: list[threading.Timer] = []

    def remaining_s(self) -> float:
        """Return the time that is left.

        Raises:
            TimeoutError: nothing is left.
        """
        left = self._began + self._timeout_s - perf_counter()
        if left <= 0:
            raise TimeoutError
        return left

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Measure what is done inside as *name*; what fails is not measured."""
        self.phase_name = name
        began = perf_counter()
        yield
        self.timings_ms[name] = (perf_counter() - began) * 1e3

    def keep(self, connection: socket.socket) -> None:
        """Bound every wait on *connection* by the deadline, and close it at the end."""
        self._sockets.append(connection)
        connection.settimeout(self.remaining_s())
        timer = threading.Timer(self.remaining_s(), self._cut, [connection])
        timer.daemon = True
        timer.start()
        self._timers.append(timer)

    def _cut(self, connection: socket.socket) -> None:
        self.is_cut = True
        try:
            # Not SSLSocket's: that one takes the TLS state away from whoever reads.
            socket.socket.shutdown(connection, socket.SHUT_RDWR)
        except OSError:
            pass  # gone already

    def finish(self, failure: Failure | None) -> Answer:
        """Close what is open and return the answer."""
        self.timings_ms[TOTAL] = (perf_counter() - self._began) * 1e3
        for timer in self._timers:
            timer.cancel()
        for connection in self._sockets:
            connection.close()
        outcome, reason = (OK, "") if failure is None else (failure.outcome, failure.reason)
        return Answer(self.address.shown, outcome, reason, self.timings_ms, self.facts, tuple(self.warnings))

    def timed_out(self) -> Failure:
        """Return the failure of an attempt that came to its deadline."""
        return Failure(TIMEOUT, f"no answer within {self._timeout_s:g} s, in phase {self.phase_name}")


def attempt(address: Address, timeout_s: float, steps: Callable[[Attempt], None]) -> Answer:
    """Take the *steps* of a probe and return what came of it; it never takes longer than *timeout_s*."""
    one = Attempt(address, timeout_s)
    failure: Failure | None = None
    try:
        steps(one)
    except TimeoutError:
        failure = one.timed_out()
    except Failure as found:
        failure = found
    except OSError as error:
        failure = _broken(error, one.phase_name)
    # A cut looks like the other side's mistake to whoever was reading.
    if failure is not None and failure.outcome in (PROTOCOL, TLS) and one.is_cut:
        failure = one.timed_out()
    return one.finish(failure)


def _broken(error: OSError, phase: str) -> Failure:
    if isinstance(error, ssl.SSLError) and not isinstance(error, ssl.SSLEOFError):
        words = (error.reason or "no reason given").lower().replace("_", " ")
        return Failure(TLS, f"the encrypted connection failed in phase {phase} ({words})")
    return Failure(PROTOCOL, f"the connection was closed in phase {phase}")
