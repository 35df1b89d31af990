"""What a cleanup did, counted by those who do it.

A cleanup goes on when a part of its work cannot be done; what stayed is said here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from streamlab_plugin.store.retention import ARCHIVES, KINDS


@dataclass(frozen=True, slots=True)
class Skipped:
    """What stayed although it is too old."""

    kind: str
    unit: str
    reason: str


@dataclass(frozen=True, slots=True)
class Report:
    """What a cleanup did; ``deleted`` counts rows by kind like `due`, ``archived`` those put into files."""

    deleted: Mapping[str, int]
    archived: Mapping[str, int]
    files_made: int
    files_expired: int
    skipped: tuple[Skipped, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return it for JSON."""
        return asdict(self) | {"skipped": [asdict(one) for one in self.skipped]}


class Tally:
    """The numbers of a cleanup that is going on, by kind."""

    def __init__(self) -> None:
        self.deleted = Counter(dict.fromkeys(KINDS, 0))
        self.archived: Counter[str] = Counter()
        self.files_made = 0
        self._skipped: list[Skipped] = []

    def skip(self, kind: str, unit: str, reason: str) -> None:
        """Note what stays."""
        self._skipped.append(Skipped(kind, unit, reason))

    def report(self) -> Report:
        """Return what was done so far."""
        return Report(
            deleted=dict(self.deleted),
            archived=dict(self.archived),
            files_made=self.files_made,
            files_expired=self.deleted[ARCHIVES],
            skipped=tuple(self._skipped),
        )
