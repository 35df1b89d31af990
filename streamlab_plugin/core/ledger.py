"""The ledger: where every produced record has gone.

Per process, ``produced`` is the last number the gate gave, counted before any drop. At the end of a run
``produced == stored + spooled + quarantined + sum(dropped)`` and nothing is pending. What was erased later
stays counted among what was stored.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

# More than this share lost before roll-up and no verdict can be trusted.
LOSS_LIMIT = 0.001
# The reason under which raw records go that had been rolled up before.
SPOOL_FULL = "spool_full"


@dataclass(frozen=True, slots=True)
class Ledger:
    """Counts of records by where they are; ``dropped`` maps a reason to its count.

    ``erased`` says how many of ``stored`` were erased since.
    """

    produced: int = 0
    stored: int = 0
    spooled: int = 0
    pending: int = 0
    quarantined: int = 0
    dropped: Mapping[str, int] = field(default_factory=dict)
    erased: int = 0

    @property
    def lost(self) -> int:
        """Records that were dropped, whatever the reason."""
        return sum(self.dropped.values())

    @property
    def is_balanced(self) -> bool:
        """Whether every produced record is accounted for and none is on its way any more."""
        return self.pending == 0 and self.produced == (
            self.stored + self.spooled + self.quarantined + self.lost
        )

    @property
    def loss_is_tolerable(self) -> bool:
        """Whether at most 0.1 % of what was produced inside the run was lost before it was rolled up.

        What a full spool dropped had been counted, so no verdict suffers.
        """
        lost = self.lost - sum(self.dropped.get(name, 0) for name in ("no_run", SPOOL_FULL))
        return lost <= self.produced * LOSS_LIMIT

    def text(self) -> str:
        """Return the ledger as one line for people."""
        erased = f" ({self.erased:,} erased since)" if self.erased else ""
        parts = [f"produced {self.produced:,}", f"stored {self.stored:,}{erased}"]
        for name in ("spooled", "pending", "quarantined"):
            if count := getattr(self, name):
                parts.append(f"{name} {count:,}")
        parts += [f"dropped ({reason}) {count:,}" for reason, count in sorted(self.dropped.items()) if count]
        parts.append("balanced" if self.is_balanced else "NOT BALANCED")
        return " · ".join(parts)


def total(ledgers: Iterable[Ledger]) -> Ledger:
    """Add up the ledgers of several processes."""
    produced = stored = spooled = pending = quarantined = erased = 0
    dropped: dict[str, int] = {}
    for one in ledgers:
        produced += one.produced
        stored += one.stored
        spooled += one.spooled
        pending += one.pending
        quarantined += one.quarantined
        erased += one.erased
        for reason, count in one.dropped.items():
            dropped[reason] = dropped.get(reason, 0) + count
    return Ledger(produced, stored, spooled, pending, quarantined, dropped, erased)
