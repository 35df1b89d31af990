"""What the target of a fault test saw: correlation ids and moments."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

_LINE = re.compile(rb'^(\d+\.\d+) \{"correlation_id":"([^"]+)"', re.MULTILINE)
SECOND_S = 1.0


@dataclass(frozen=True)
class TargetLog:
    """Moment (epoch seconds) by correlation id; an id names the process that asked: ``pid-number``."""

    moments: dict[str, float]

    def __len__(self) -> int:
        return len(self.moments)

    def of(self, *pids: int) -> TargetLog:
        """Return what came from these processes."""
        wanted = {str(pid) for pid in pids}
        return TargetLog({name: at for name, at in self.moments.items() if name.partition("-")[0] in wanted})

    def rate(self, since: float | None = None, until: float | None = None) -> float:
        """Return the requests per second between two moments, by default without first and last second."""
        ats = sorted(self.moments.values())
        since = ats[0] + SECOND_S if since is None else since
        until = ats[-1] - SECOND_S / 10 if until is None else until
        return sum(since <= at < until for at in ats) / (until - since)


def read_log(path: Path) -> TargetLog:
    """Read a target's log.

    Raises:
        AssertionError: an id came twice: then it would not tell requests apart.
    """
    found = _LINE.findall(path.read_bytes())
    moments = {name.decode(): float(at) for at, name in found}
    assert len(moments) == len(found), "the target saw an id twice"
    return TargetLog(moments)
