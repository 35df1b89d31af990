"""What has been worked out of runs that are over, so that looking at one again costs next to nothing.

Merging sketches draws random numbers: without this a finished run's percentiles would also waver from poll
to poll.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar, cast

from streamlab_plugin.store import queries

if TYPE_CHECKING:
    from sqlalchemy import Connection

T = TypeVar("T")

MOST = 64


class Memory:
    """Answers about finished runs, by run and by how far its streams were stored.

    No lock: single dictionary operations are atomic, and two threads at worst work the same thing out twice.
    """

    def __init__(self) -> None:
        self._answers: dict[tuple[object, ...], object] = {}

    def recall(
        self, conn: Connection, run: queries.Run, what: tuple[object, ...], work: Callable[[], T]
    ) -> T:
        """Return *work()*, or what it returned before if the run is over and nothing was stored since."""
        if run.state == queries.RUNNING:
            return work()
        key = (run.run, run.state, queries.stored_frames(conn, run.id), *what)
        answers = self._answers
        if key in answers:
            return cast("T", answers[key])
        if len(answers) >= MOST:
            answers = self._answers = {}
        answer = answers[key] = work()
        return answer
