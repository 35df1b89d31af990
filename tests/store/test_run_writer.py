"""Runs and processes are opened, stopped and finished once, whatever is repeated."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from batches import BEGIN, RUN, Feed, open_streams, opened_writer
from sqlalchemy import Connection, func, select

from streamlab_plugin.store import run_writer, tables
from streamlab_plugin.store.run_writer import ProcessRow, RunRow
from streamlab_plugin.store.writer import Writer


@pytest.fixture
def writer(database_url: str) -> Iterator[Writer]:
    """Return a writer that knows the run and the process p-1."""
    with closing(opened_writer(database_url, "p-1")) as one:
        yield one


def one(connection: Connection, query: Any) -> tuple[Any, ...]:
    """Return the only row of a query."""
    with connection.begin():
        return tuple(connection.execute(query).one())


class TestOpening:
    """`open_run`, `open_process`, `find_run`."""

    def test_a_second_time_changes_nothing(self, writer: Writer, database_url: str) -> None:
        """Neither run nor settings nor process are doubled, and the stream keeps its place."""
        writer.write([Feed().batch(5)])
        open_streams(database_url, "p-1")
        for table in (tables.runs, tables.settings, tables.processes):
            assert (1,) == one(writer.connection, select(func.count()).select_from(table))
        row = run_writer.open_process(writer.connection, RUN, "p-1", "worker", 1, float(BEGIN))
        assert ProcessRow(1, 5, "open") == row

    def test_a_process_of_an_unknown_run_is_refused(self, writer: Writer) -> None:
        """Master and worker with different databases."""
        with pytest.raises(LookupError, match="run other is not in this database"):
            run_writer.open_process(writer.connection, "other", "p-2", "worker", 1, 1.0)
        assert run_writer.process_key(writer.connection, "p-2") is None

    def test_one_that_was_taken_for_lost_is_open_again(self, writer: Writer) -> None:
        """Its recorder had died, not the process; a closed stream stays closed."""
        writer.mark_lost("p-1", BEGIN + 5.0)
        assert "open" == run_writer.open_process(writer.connection, RUN, "p-1", "worker", 1, 1.0).state
        columns = tables.processes.c
        assert ("open", None) == one(writer.connection, select(columns.state, columns.closed_at))
        writer.write([Feed().write(closed_at=BEGIN + 9.0)])
        assert "closed" == run_writer.open_process(writer.connection, RUN, "p-1", "worker", 1, 1.0).state

    def test_another_recorder_finds_the_run_with_its_settings(self, writer: Writer) -> None:
        """Or nothing."""
        found = run_writer.find_run(writer.connection, RUN)
        assert RunRow(RUN, BEGIN // 86_400, float(BEGIN), "k", "{}") == found
        assert run_writer.find_run(writer.connection, "other") is None
        assert run_writer.run_key(writer.connection, "other") is None


class TestEnding:
    """`stop_run` and `finish_run`."""

    def test_the_stop_is_stored_and_the_run_goes_on_until_its_verdict(self, writer: Writer) -> None:
        """With the number of workers that were there at last."""
        run_writer.stop_run(writer.connection, RUN, BEGIN + 60.0, 4)
        runs = tables.runs.c
        assert ("running", BEGIN + 60.0, 4) == one(
            writer.connection, select(runs.state, runs.stopped_at, runs.expected_workers)
        )

    def test_state_windows_and_verdict_are_stored_together(self, writer: Writer) -> None:
        """A second time the newer ones stand."""
        key = run_writer.run_key(writer.connection, RUN)
        assert key is not None
        assert "running" == run_writer.state_of(writer.connection, key)
        verdict = {"verdict": "met", "exit_code": 0, "decided_at": 1.0, "body": "{}"}
        for exit_code in (3, 0):
            run_writer.finish_run(
                writer.connection, key, state="degraded", stopped_at=BEGIN + 60.0,
                degradations=[{"kind": "process_lost"}], verdict={**verdict, "exit_code": exit_code},
            )  # fmt: skip
        runs, verdicts = tables.runs.c, tables.verdicts.c
        state, windows = one(writer.connection, select(runs.state, runs.degradations))
        assert ("degraded", [{"kind": "process_lost"}]) == (state, json.loads(windows))
        assert ("met", 0) == one(writer.connection, select(verdicts.verdict, verdicts.exit_code))

    def test_a_stop_that_somebody_asked_for_is_seen(self, writer: Writer) -> None:
        """By the recorder beside the owner."""
        key = run_writer.run_key(writer.connection, RUN)
        assert key is not None
        assert not run_writer.stop_was_requested(writer.connection, key)
        with writer.connection.begin():
            writer.connection.execute(tables.runs.update().values(stop_requested_at=1.0))
        assert run_writer.stop_was_requested(writer.connection, key)
