"""When a process vanishes, the run says from when to when its part of the load was missing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest
from batches import BEGIN, RUN, Feed, opened_writer
from sqlalchemy import Connection

from streamlab_plugin.store import run_writer
from streamlab_plugin.store.degradation import degradations
from streamlab_plugin.store.run_writer import ProcessState
from streamlab_plugin.store.writer import Writer

STOP = BEGIN + 30.0


@pytest.fixture
def writer(database_url: str) -> Iterator[Writer]:
    """Return a writer that knows three workers."""
    with closing(opened_writer(database_url, "p-1", "p-2", "p-3")) as one:
        yield one


def run(writer: Writer, users: dict[str, list[int]]) -> list[ProcessState]:
    """Store each worker's users by second from the beginning, and return the processes."""
    for process, by_second in users.items():
        gauges = [(BEGIN + second, count) for second, count in enumerate(by_second)]
        seen_at = STOP if len(gauges) == 30 else BEGIN + len(gauges) - 0.5
        writer.write([Feed(process).write(gauges=gauges, seen_at=seen_at)])
    return states(writer.connection)


def states(connection: Connection) -> list[ProcessState]:
    """Return the run's processes."""
    key = run_writer.run_key(connection, RUN)
    assert key is not None
    return run_writer.processes_of(connection, key)


class TestDegradations:
    """`degradations`."""

    def test_a_run_without_losses_has_none(self, writer: Writer) -> None:
        """Closed streams, also those that were closed before the test had stopped."""
        for process in ("p-1", "p-2", "p-3"):
            writer.write([Feed(process).write(closed_at=BEGIN + 10.0)])
        assert [] == degradations(writer.connection, states(writer.connection), STOP)

    def test_until_the_others_have_taken_over(self, writer: Writer) -> None:
        """Its users spawn anew on them, a few seconds later."""
        run(writer, {"p-1": [10] * 10, "p-2": [10] * 13 + [15] * 17, "p-3": [10] * 14 + [15] * 16})
        writer.mark_lost("p-1", BEGIN + 10.2)
        found = degradations(writer.connection, states(writer.connection), STOP)
        assert [
            {
                "kind": "process_lost", "process": "p-1", "role": "worker", "since": BEGIN + 10.2,
                "until": BEGIN + 14.0, "users": 10,
            }
        ] == found  # fmt: skip

    def test_without_takeover_to_the_end_of_the_test(self, writer: Writer) -> None:
        """Nobody has more users than before."""
        run(writer, {"p-1": [10] * 10, "p-2": [10] * 30, "p-3": [10] * 30})
        writer.mark_lost("p-1", BEGIN + 10.2)
        (found,) = degradations(writer.connection, states(writer.connection), STOP)
        assert (BEGIN + 10.2, STOP, 10) == (found["since"], found["until"], found["users"])

    def test_two_that_vanish_one_after_the_other(self, writer: Writer) -> None:
        """Each has a window of its own, in the order of their ends."""
        run(writer, {"p-1": [10] * 20, "p-2": [10] * 8, "p-3": [10] * 12 + [20] * 8 + [30] * 10})
        writer.mark_lost("p-1", BEGIN + 20.0)
        writer.mark_lost("p-2", BEGIN + 8.0)
        found = degradations(writer.connection, states(writer.connection), STOP)
        assert [("p-2", BEGIN + 8.0, BEGIN + 12.0), ("p-1", BEGIN + 20.0, BEGIN + 21.0)] == [
            (one["process"], one["since"], one["until"]) for one in found
        ]

    def test_one_that_never_said_so_is_gone_since_its_last_word(self, writer: Writer) -> None:
        """Its recorder died with it, or its host: the stream is still open."""
        run(writer, {"p-1": [10] * 10, "p-2": [10] * 30, "p-3": [10] * 30})
        for process in ("p-2", "p-3"):
            feed = Feed(process, frame=1)
            writer.write([feed.write(closed_at=STOP)])
        (found,) = degradations(writer.connection, states(writer.connection), STOP)
        assert ("p-1", BEGIN + 9.5, STOP) == (found["process"], found["since"], found["until"])

    def test_a_loss_after_the_test_had_stopped_is_none(self, writer: Writer) -> None:
        """The load was complete."""
        run(writer, {"p-1": [10] * 30})
        for process in ("p-1", "p-2", "p-3"):
            writer.mark_lost(process, STOP + 1)
        assert [] == degradations(writer.connection, states(writer.connection), STOP)
