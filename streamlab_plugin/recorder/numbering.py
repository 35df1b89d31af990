"""What the records of one process say about numbered streams, since the last write.

Numbers are noted as runs without a gap, in the order in which they came: nothing is lost by it, and a stream
in good order is one run per write.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from streamlab_plugin.detect.delivery import UNTRACKED, Role
from streamlab_plugin.store.batch import Numbers

if TYPE_CHECKING:
    from streamlab_plugin.store.batch import Key

# Pairs of a stream and a subscriber that one process tracks; beyond it messages are only counted.
MOST_TRACKS = 20_000
_HIGHEST = 2**53

Name = tuple[Role, str, str]


class Numbering:
    """Collect the numbers of streams."""

    def __init__(self) -> None:
        self._known: set[Name] = set()
        self._runs: dict[Name, tuple[Key, list[int]]] = {}

    def note(self, role: Role, stream: str, subscriber: str, series: Key, number: int) -> None:
        """Note that *number* was sent, was not acknowledged, or has come."""
        if not 0 < number < _HIGHEST:
            return
        name = role, stream, subscriber
        found = self._runs.get(name)
        if found is None:
            if name not in self._known:
                if len(self._known) >= MOST_TRACKS:
                    name = role, UNTRACKED, ""
                self._known.add(name)
            found = self._runs.setdefault(name, (series, []))
        bounds = found[1]
        if bounds and number == bounds[-1] + 1:
            bounds[-1] = number
        else:
            bounds += (number, number)

    def take(self) -> list[Numbers]:
        """Return what came since the last call."""
        taken = [Numbers(*name, series, bounds) for name, (series, bounds) in self._runs.items()]
        self._runs = {}
        return taken
