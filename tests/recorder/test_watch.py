"""Signatures count what all recorders stored: each finding once, also when a recorder follows another one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest
from batches import BEGIN, RUN, RUN_DAY, Feed, occurrence, opened_writer
from sqlalchemy import func, select

from streamlab_plugin import config
from streamlab_plugin.recorder.run import Run, make_run
from streamlab_plugin.recorder.watch import Watch
from streamlab_plugin.store import run_writer, tables
from streamlab_plugin.store.run_writer import RunRow
from streamlab_plugin.store.writer import Writer

STEP_S = 10


@pytest.fixture
def writer(database_url: str) -> Iterator[Writer]:
    """Return a writer that knows the owner's process and a worker."""
    with closing(opened_writer(database_url, "p-1", "p-2")) as one:
        yield one


@pytest.fixture
def run(writer: Writer) -> Run:
    """Return the run with the packaged rules."""
    body = config.load(environment={}).body().decode()
    made = make_run(RunRow(RUN, RUN_DAY, float(BEGIN), "k", body))
    made.key = run_writer.run_key(writer.connection, RUN)
    return made


def counted(writer: Writer) -> tuple[int, int]:
    """Return how much the signature counts, and how much the occurrences do."""
    with writer.connection.begin():
        signature = writer.connection.scalar(select(func.sum(tables.signatures.c.count)))
        stored = writer.connection.scalar(select(func.sum(tables.occurrences.c.count)))
    return int(signature or 0), int(stored or 0)


def go_on(writer: Writer, watch: Watch, feeds: list[Feed], first: int, last: int) -> None:
    """Let findings come in every ten seconds, and the watch look each time."""
    for second in range(first, last, STEP_S):
        writer.write([feed.write(occurrences=[occurrence(BEGIN + second, 5)]) for feed in feeds])
        watch.step(writer.connection, BEGIN + second + STEP_S + 2)


class TestWatch:
    """`Watch.step`."""

    def test_a_signature_counts_all_occurrences_of_the_run(self, writer: Writer, run: Run) -> None:
        """Of all processes, while they come in and at the end."""
        watch, feeds = Watch(run, "p-1"), [Feed("p-1"), Feed("p-2")]
        go_on(writer, watch, feeds, 0, 150)
        assert (150, 150) == counted(writer)
        watch.step(writer.connection, BEGIN + 200.0, is_last=True)
        assert (150, 150) == counted(writer)

    def test_a_recorder_that_follows_counts_nothing_twice(self, writer: Writer, run: Run) -> None:
        """Neither more nor less at any moment; a second one after it neither."""
        feeds = [Feed("p-1"), Feed("p-2")]
        go_on(writer, Watch(run, "p-1"), feeds, 0, 150)
        go_on(writer, Watch(run, "p-1"), feeds, 150, 160)
        assert (160, 160) == counted(writer)
        watch = Watch(run, "p-1")
        go_on(writer, watch, feeds, 160, 200)
        assert (200, 200) == counted(writer)
        watch.step(writer.connection, BEGIN + 240.0, is_last=True)
        assert (200, 200) == counted(writer)

    def test_what_came_in_between_two_recorders_is_counted(self, writer: Writer, run: Run) -> None:
        """Stored after the first one's last look."""
        feeds = [Feed("p-1")]
        go_on(writer, Watch(run, "p-1"), feeds, 0, 30)
        writer.write([feeds[0].write(occurrences=[occurrence(BEGIN + 20, 7)])])
        watch = Watch(run, "p-1")
        watch.step(writer.connection, BEGIN + 60.0, is_last=True)
        assert (22, 22) == counted(writer)

    def test_it_waits_while_its_process_is_not_stored(self, writer: Writer, run: Run) -> None:
        """Its opening may wait in the spool."""
        Watch(run, "p-9").step(writer.connection, BEGIN + 60.0)
        assert (0, 0) == counted(writer)
