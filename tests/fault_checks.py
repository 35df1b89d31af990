"""What must hold after most faults: nothing lost, nothing twice, everything accounted for."""

from __future__ import annotations

from collections.abc import Callable

from fault_run import FaultRun
from fault_stored import integrity

CalmRate = Callable[[int, float], float]
"""Returns the rate of a run without any fault, by asked rate and length in seconds."""


def assert_nothing_happened(run: FaultRun) -> None:
    """What the target saw is stored once, in a run that is complete and balanced."""
    seen, stored = run.seen(), run.stored()
    print(f"{len(seen)} seen; {stored.ledger.text()}")
    assert {} == stored.lost(seen)
    assert (0, 0) == (stored.twice(), stored.ghosts(seen))
    assert (0, {}) == (stored.missing(), dict(stored.dropped()))
    assert [False] * len(stored.processes) == [one.has_gap for one in stored.processes]
    assert stored.ledger.is_balanced
    assert stored.ledger.produced == stored.rolled_up
    assert "completed" == stored.state
    assert stored.verdict in ("met", "breached"), "conclusive; how fast the target was is not the matter"
    assert "ok" == integrity(run.database_url)


def assert_same_rate(rate: float, calm: float) -> None:
    """The load did not notice: the target saw at least 95 % of what it sees in a run without a fault."""
    print(f"rate: {rate:.0f}/s, {rate / calm:.4f} of a calm run's")
    assert rate >= 0.95 * calm
