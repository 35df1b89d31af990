"""A check names what does not add up, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from postgres import PostgresServer
from recorded import BEGAN, RUN, SECONDS, add_run
from sqlalchemy import Connection, Engine, delete, text, update

from streamlab_plugin.store import health_queries, tables
from streamlab_plugin.store.engine import open_store
from streamlab_plugin.store.health_queries import (
    RowCount,
    connections,
    file_problems,
    finished_runs,
    row_counts,
    run_problems,
    size_bytes,
)
from streamlab_plugin.store.migrate import migrate
from streamlab_plugin.store.queries import find_run

SOON = BEGAN + SECONDS + 3600.0
DAY_S = 86_400


@pytest.fixture
def engine(database_url: str) -> Engine:
    """A database with one finished run, open for writing."""
    engine = open_store(database_url, read_only=False)
    with engine.begin() as conn:
        add_run(conn, rate=1.0)
    return engine


def problems(engine: Engine, now: float = SOON) -> list[str]:
    """Return what a check finds."""
    with engine.connect() as conn:
        runs = finished_runs(conn)
        found = [problem for run in runs for problem in run_problems(conn, run, now)]
        return [*file_problems(conn), *found]


class TestRunProblems:
    def test_none(self, engine: Engine) -> None:
        """A run that is all there has none."""
        assert problems(engine) == []

    def test_a_running_run_is_not_judged(self, engine: Engine) -> None:
        """Its records are on their way."""
        with engine.begin() as conn:
            conn.execute(update(tables.runs).values(state="running"))
            conn.execute(delete(tables.records).where(tables.records.c.seq == 5))
        assert problems(engine) == []

    def test_a_record_that_is_missing(self, engine: Engine) -> None:
        """One record fewer than were stored is a problem of its process."""
        with engine.begin() as conn:
            conn.execute(
                delete(tables.records).where(tables.records.c.process_id == 2, tables.records.c.seq == 5)
            )
        (problem,) = problems(engine)
        assert problem.startswith(f"run {RUN[:8]}, process 00000002: ")
        assert "records were stored" in problem

    def test_a_record_that_was_erased(self, engine: Engine) -> None:
        """It is not missed, as long as as many were erased as are not there."""
        erased = tables.processes.c.erased
        with engine.begin() as conn:
            conn.execute(
                delete(tables.records).where(tables.records.c.process_id == 2, tables.records.c.seq == 5)
            )
            conn.execute(update(tables.processes).where(tables.processes.c.id == 2).values(erased=1))
        assert problems(engine) == []
        with engine.begin() as conn:
            conn.execute(update(tables.processes).where(tables.processes.c.id == 2).values(erased=erased + 1))
        (problem,) = problems(engine)
        assert " records were stored and 2 of them erased, " in problem

    def test_records_that_are_too_old(self, engine: Engine) -> None:
        """Once records may have been removed their number says nothing; neither do records that all went."""
        with engine.begin() as conn:
            conn.execute(delete(tables.records).where(tables.records.c.seq < 50))
        assert len(problems(engine)) == 2
        assert problems(engine, SOON + 15 * DAY_S) == []
        with engine.begin() as conn:
            conn.execute(delete(tables.records))
        assert problems(engine) == []

    def test_an_unbalanced_ledger(self, engine: Engine) -> None:
        """Records that are nowhere are a problem."""
        with engine.begin() as conn:
            conn.execute(
                update(tables.processes)
                .where(tables.processes.c.id == 1)
                .values(produced=tables.processes.c.produced + 3)
            )
        (problem,) = problems(engine)
        assert "process 00000001: the ledger does not balance: produced" in problem

    def test_an_open_process(self, engine: Engine) -> None:
        """A process that was never closed is a problem of a finished run."""
        with engine.begin() as conn:
            conn.execute(update(tables.processes).where(tables.processes.c.id == 1).values(state="open"))
        assert [problem.split(": ")[1] for problem in problems(engine)] == [
            "still open although the run is completed"
        ]

    @pytest.mark.parametrize(("period_s", "lines"), [(1, 1), (60, 2), (3600, 1)])
    def test_rollups_that_disagree(self, engine: Engine, period_s: int, lines: int) -> None:
        """The three periods count the same records."""
        column = tables.rollups.c
        with engine.begin() as conn:
            late = conn.scalar(
                text(f"SELECT max(start) FROM rollups WHERE period_s = {period_s} AND process_id = 1")
            )
            conn.execute(
                update(tables.rollups)
                .where(column.period_s == period_s, column.process_id == 1, column.start == late)
                .values(count=column["count"] + 1)
            )
        found = problems(engine)
        assert len(found) == lines
        assert all("00000001: rollups of " in problem for problem in found)

    def test_rollups_that_were_removed(self, engine: Engine) -> None:
        """Seconds that are gone are not missed."""
        column = tables.rollups.c
        with engine.begin() as conn:
            conn.execute(delete(tables.rollups).where(column.period_s == 1, column.start < BEGAN + 100))
        assert problems(engine) == []
        with engine.begin() as conn:
            conn.execute(delete(tables.rollups).where(column.period_s == 1))
        assert problems(engine) == []


class TestFile:
    def test_a_damaged_file(self, tmp_path: Path) -> None:
        """A page that was overwritten is found."""
        path = tmp_path / "streamlab.db"
        engine = open_store(f"sqlite:///{path}", read_only=False)
        migrate(engine)
        with engine.begin() as conn:
            add_run(conn, rate=1.0)
        whole = path.read_bytes()
        middle = whole.index(b"/ws/mobile/sync/")
        path.write_bytes(whole[: middle - 40] + bytes(80) + whole[middle + 40 :])
        with open_store(f"sqlite:///{path}", read_only=True).connect() as conn:
            assert all(problem.startswith("file: ") for problem in file_problems(conn))
            assert list(file_problems(conn))

    def test_a_reference_to_nothing(self, tmp_path: Path) -> None:
        """A row whose parent is gone is found; PostgreSQL would not have let it go."""
        engine = open_store(f"sqlite:///{tmp_path / 'streamlab.db'}", read_only=False)
        migrate(engine)
        with engine.begin() as conn:
            add_run(conn, rate=1.0)
            conn.execute(delete(tables.settings))
        assert problems(engine) == ["table runs: a row refers to a row of settings that is not there"]


class TestContents:
    @pytest.fixture
    def conn(self, engine: Engine, database_url: str) -> Iterator[Connection]:
        with open_store(database_url, read_only=True).connect() as connection:
            yield connection

    def test_rows(self, conn: Connection) -> None:
        """Small tables are counted exactly, the partitions of records as one."""
        run = find_run(conn, RUN)
        found = row_counts(conn)
        assert (RowCount(1, "exact"), RowCount(2, "exact")) == (found["runs"], found["processes"])
        assert found["records"].rows == conn.execute(text("SELECT count(*) FROM records_flat")).scalar()
        assert set(tables.metadata.tables) == set(found)
        assert run.state == "completed"

    def test_size(self, conn: Connection) -> None:
        """The size is that of the files, or what the server says."""
        assert size_bytes(conn) > 100_000

    def test_connections(self, conn: Connection) -> None:
        """PostgreSQL knows who is connected, a file does not."""
        expected = {"streamlab reader": 1} if conn.dialect.name == "postgresql" else None
        assert expected == connections(conn)


def test_estimates_of_large_tables(postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond a limit PostgreSQL's own estimate is taken, summed over partitions."""
    url = postgres.create_database()
    engine = open_store(url, read_only=False)
    migrate(engine)
    with engine.begin() as conn:
        add_run(conn, rate=1.0)
        conn.execute(text("ANALYZE"))
    monkeypatch.setattr(health_queries, "_ESTIMATED_ABOVE", 100)
    with engine.connect() as conn:
        found = row_counts(conn)
        assert found["records"].kind == "estimate"
        assert found["records"].rows == conn.execute(text("SELECT count(*) FROM records")).scalar()
