"""What the erasers of single places share: whose data, which records were found, how much has gone.

The counts are stored in the transaction that deletes, or right behind a change of a file, so that the receipt
of an erasure that was interrupted says what all its attempts did together.
"""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Generator, Mapping
from typing import Any

from sqlalchemy import Connection

from streamlab_plugin.privacy.subject import Subject
from streamlab_plugin.store import erasure
from streamlab_plugin.store.erasure import Erasure

Steps = Generator[str, None, None]

# Work goes on for so long before others have a turn.
STEP_S = 0.01


class ErasureTally:
    """One attempt at an erasure.

    Args:
        connection: The recorder's; between the steps it has no transaction open.
        subject: Whose data.
        entry: Its row; None only counts, and nothing is changed anywhere.

    ``found`` maps the public id of a process to the numbers of its records, ``waiting`` to those of them that
    were found in a spool; ``skipped`` says what could not be searched.
    """

    def __init__(self, connection: Connection, subject: Subject, entry: Erasure | None) -> None:
        self.connection = connection
        self.subject = subject
        self.entry = entry
        self.found: defaultdict[str, set[int]] = defaultdict(set)
        self.waiting: defaultdict[str, set[int]] = defaultdict(set)
        self.skipped: list[str] = []
        self.counts = Counter[str]() if entry is None else Counter(entry.counts)
        self.attempt = Counter[str]()
        self._turn_began = time.monotonic()

    @property
    def is_dry(self) -> bool:
        """Whether it only counts."""
        return self.entry is None

    def is_turn_over(self) -> bool:
        """Whether it is time to let others work; the next turn begins with the answer yes."""
        if time.monotonic() - self._turn_began < STEP_S:
            return False
        self._turn_began = time.monotonic()
        return True

    def add(self, counts: Mapping[str, int], **values: Any) -> None:
        """Count what the caller's transaction erases; a change that was pending is done with it."""
        self.counts.update(counts)
        self.attempt.update(counts)
        if self.entry is not None:
            stored = {name: count for name, count in self.counts.items() if count}
            erasure.save(self.connection, self.entry.id, counts=stored, pending=None, **values)

    def intend(self, change: dict[str, Any] | None) -> None:
        """Store, in a transaction of its own, which change of a file comes next (None: none after all)."""
        assert self.entry is not None
        with self.connection.begin():
            erasure.save(self.connection, self.entry.id, pending=change)
