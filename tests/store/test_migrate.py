"""A database gets the schema that the code expects, from any older one, through any death; data stays."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.config import Config
from postgres import PostgresServer
from sqlalchemy import (
    Connection,
    Double,
    Engine,
    Integer,
    LargeBinary,
    MetaData,
    Numeric,
    Table,
    inspect,
    select,
    text,
)

from streamlab_plugin.core.errors import InfrastructureError
from streamlab_plugin.store import migrate as migrate_module
from streamlab_plugin.store import tables
from streamlab_plugin.store.engine import open_store
from streamlab_plugin.store.migrate import migrate, schema_of

DAY = 20_000
# What the views and the code read as JSON or as an index; everything else takes any value of its type.
VALUES: dict[str, Any] = {
    "id": 1, "run_day": DAY, "outcome": 0, "keys": '["a"]', "payload": "[1]", "versions": "{}",
    "dropped": "{}", "privacy": "{}", "exemplars": "[]", "steps": "[]", "body": "{}", "state": "completed",
}  # fmt: skip
NEW_DEFAULTS = {
    "runs": {"tags": "{}", "degradations": "[]", "stop_requested_at": None},
    "processes": {"seen_at": None, "evicted": 0},
}


@pytest.fixture(params=["sqlite", "postgresql"])
def make_url(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], str]:
    """Return a function that makes an empty database."""
    if request.param == "sqlite":
        numbers = iter(range(1000))
        return lambda: f"sqlite:///{tmp_path}/{next(numbers)}.db"
    server: PostgresServer = request.getfixturevalue("postgres")
    return server.create_database


@pytest.fixture
def url(make_url: Callable[[], str]) -> str:
    """Return the URL of an empty database."""
    return make_url()


def make_0001(url: str) -> dict[str, list[tuple[Any, ...]]]:
    """Make a database of the first schema with a row in every table; return what is in it."""
    config = Config()
    config.set_main_option("script_location", str(Path(migrate_module.__file__).parent / "migrations"))
    with open_store(url, read_only=False).connect() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        if connection.dialect.name == "postgresql":
            partition = f"CREATE TABLE records_{DAY} PARTITION OF records FOR VALUES IN ({DAY})"
            connection.execute(text(partition))
        found = reflected(connection)
        for table in found.sorted_tables:
            if not table.name.startswith(("alembic", "records_")):
                connection.execute(table.insert().values(a_row(table)))
        connection.commit()
        return content(connection, found)


def reflected(connection: Connection) -> MetaData:
    """Return the tables as they are in the database."""
    metadata = MetaData()
    metadata.reflect(connection)
    return metadata


def a_row(table: Table) -> dict[str, Any]:
    """Return a value for every column of a table."""
    return {column.name: VALUES.get(column.name, _value(column.type)) for column in table.columns}


def _value(kind: Any) -> Any:
    if isinstance(kind, Integer):
        return 1
    if isinstance(kind, LargeBinary):
        return b"sketch"
    return 1.5 if isinstance(kind, Numeric | Double) else "text"


def content(connection: Connection, metadata: MetaData) -> dict[str, list[tuple[Any, ...]]]:
    """Return the rows of every table, in the columns that *metadata* knows."""
    return {
        table.name: [tuple(row) for row in connection.execute(select(*table.columns))]
        for table in metadata.sorted_tables
        if table.name != "alembic_version"
    }


def schema(url: str) -> list[tuple[Any, ...]]:
    """Return everything that was declared: tables, columns with types and defaults, indexes, views."""
    engine = open_store(url, read_only=False)
    queries = {
        "sqlite": ["SELECT type, name, sql FROM sqlite_master ORDER BY type, name"],
        "postgresql": [
            "SELECT table_name, column_name, data_type, is_nullable, column_default"
            " FROM information_schema.columns WHERE table_schema = 'public' ORDER BY 1, 2",
            "SELECT tablename, indexname, indexdef FROM pg_indexes WHERE schemaname = 'public' ORDER BY 2",
            "SELECT viewname, definition FROM pg_views WHERE schemaname = 'public' ORDER BY 1",
            "SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint ORDER BY 1, 2",
        ],
    }[engine.dialect.name]
    with engine.connect() as connection:
        return [tuple(row) for query in queries for row in connection.execute(text(query))]


class TestMigrate:
    """`migrate`."""

    def test_it_makes_the_tables_of_the_code(self, url: str) -> None:
        """Same tables, columns and keys; the order of columns counts where rows are given without names."""
        engine = open_store(url, read_only=False)
        migrate(engine)
        found = inspect(engine)
        for table in tables.metadata.sorted_tables:
            names = [column["name"] for column in found.get_columns(table.name)]
            if table is tables.records and url.startswith("postgresql"):
                assert sorted(table.columns.keys()) == sorted(names)
            else:
                assert table.columns.keys() == names
            primary = [column.name for column in table.primary_key.columns]
            assert primary == found.get_pk_constraint(table.name)["constrained_columns"]

    def test_a_second_time_changes_nothing(self, url: str) -> None:
        """It is idempotent."""
        engine = open_store(url, read_only=False)
        migrate(engine)
        before = schema(url)
        migrate(engine)
        assert before == schema(url)
        assert schema_of(engine).is_current

    def test_space_can_be_given_back_later(self, tmp_path: Path) -> None:
        """`auto_vacuum` is incremental and the log is a WAL, both set when the file is made."""
        engine = open_store(f"sqlite:///{tmp_path}/test.db", read_only=False)
        migrate(engine)
        with engine.connect() as connection:
            assert 2 == connection.execute(text("PRAGMA auto_vacuum")).scalar()
            assert "wal" == connection.execute(text("PRAGMA journal_mode")).scalar()

    def test_a_newer_schema_is_refused(self, url: str) -> None:
        """With the remedy."""
        engine = open_store(url, read_only=False)
        migrate(engine)
        with engine.begin() as connection:
            connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
        with pytest.raises(InfrastructureError, match=r"newer Streamlab.*upgrade"):
            migrate(engine)

    def test_another_file_is_refused(self, tmp_path: Path) -> None:
        """A file that is no database is not overwritten."""
        path = tmp_path / "test.db"
        path.write_text("precious notes, not a database at all " * 50)
        with pytest.raises(InfrastructureError, match="not a Streamlab database"):
            migrate(open_store(f"sqlite:///{path}", read_only=False))
        assert path.read_text().startswith("precious")


class TestFromTheFirstSchema:
    """A database of version 0001 with data in it."""

    def test_nothing_of_it_changes(self, url: str) -> None:
        """Every row of every table is what it was; new columns have their defaults."""
        before = make_0001(url)
        assert all(before.values())
        engine = open_store(url, read_only=False)
        with engine.connect() as connection:
            old = reflected(connection)
        migrate(engine)
        with engine.connect() as connection:
            assert before == content(connection, old)
            for name, defaults in NEW_DEFAULTS.items():
                columns = [tables.metadata.tables[name].c[column] for column in defaults]
                assert tuple(defaults.values()) == tuple(connection.execute(select(*columns)).one())

    def test_its_records_can_be_read_in_full(self, url: str) -> None:
        """By the view for people and by the code's own tables."""
        make_0001(url)
        migrate(open_store(url, read_only=False))
        with open_store(url, read_only=True).connect() as connection:
            row = connection.execute(text("SELECT * FROM records_flat")).one()
            assert ({"a": 1}, "success", "text") == (json.loads(row.payload), row.outcome, row.endpoint)
            for table in tables.metadata.sorted_tables:
                connection.execute(select(table)).all()

    def test_it_ends_up_as_a_new_one(self, make_url: Callable[[], str]) -> None:
        """The same tables, columns and keys, whichever way a database came."""
        old, new = make_url(), make_url()
        make_0001(old)
        for one in (old, new):
            migrate(open_store(one, read_only=False))
        assert columns_of(open_store(new, read_only=True)) == columns_of(open_store(old, read_only=True))


def columns_of(engine: Engine) -> dict[str, Any]:
    """Return columns and keys by table."""
    found = inspect(engine)
    return {
        table: (
            [(one["name"], str(one["type"]), one["nullable"]) for one in found.get_columns(table)],
            found.get_pk_constraint(table)["constrained_columns"],
            sorted(tuple(one["column_names"]) for one in found.get_indexes(table)),
        )
        for table in tables.metadata.tables
    }


# Reads one "NUMBER URL" per line; migrates each in a process that kills itself before statement NUMBER, or
# prints how many statements there were.
KILLER = """
import os, signal, sys
from sqlalchemy import event
from streamlab_plugin.store.engine import open_store
from streamlab_plugin.store.migrate import migrate
for line in sys.stdin:
    number, url = line.split()
    child = os.fork()
    if not child:
        engine, seen = open_store(url, read_only=False), []
        def count(*_arguments):
            seen.append(1)
            if len(seen) == int(number):
                os.kill(os.getpid(), signal.SIGKILL)
        event.listen(engine, "before_cursor_execute", count)
        event.listen(engine, "commit", count)
        migrate(engine)
        print(len(seen), flush=True)
        os._exit(0)
    if os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]):
        print("killed", flush=True)
"""


@pytest.fixture
def killer() -> Iterator[Callable[[int, str], str]]:
    """Return a function that migrates in another process, killed before its n-th statement."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(
        [sys.executable, "-c", KILLER], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        text=True,
    ) as child:  # fmt: skip

        def run(number: int, url: str) -> str:
            assert child.stdin is not None
            assert child.stdout is not None
            child.stdin.write(f"{number} {url}\n")
            child.stdin.flush()
            return child.stdout.readline().strip()

        yield run


class TestKilled:
    """A migration that was killed is as if it had never begun, and succeeds the next time."""

    @pytest.mark.parametrize("step", [9, pytest.param(1, marks=pytest.mark.faults)])
    @pytest.mark.parametrize("begins_with", ["nothing", "0001"])
    def test_before_each_statement(
        self,
        make_url: Callable[[], str],
        killer: Callable[[int, str], str],
        begins_with: str,
        step: int,
    ) -> None:
        """The old schema is whole, and afterwards the schema is that of an undisturbed migration."""

        def fresh() -> str:
            url = make_url()
            if begins_with == "0001":
                make_0001(url)
            return url

        undisturbed = fresh()
        before = schema(undisturbed)
        statements = int(killer(10**6, undisturbed))
        after = schema(undisturbed)
        assert statements > 5
        for number in [*range(1, statements, step), statements]:
            url = fresh()
            assert "killed" == killer(number, url)
            # Its last statement is the commit, which the server may have heard.
            assert before == schema(url)
            migrate(open_store(url, read_only=False))
            assert after == schema(url)


class TestTogether:
    """Two that start at the same moment."""

    def test_both_succeed(self, url: str) -> None:
        """One of them finds that nothing is left to do."""
        make_0001(url)
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        children = [
            subprocess.Popen(
                [sys.executable, "-c", KILLER], env=environment, stdin=subprocess.PIPE,
                stdout=subprocess.PIPE, text=True,
            )
            for _ in range(3)
        ]  # fmt: skip
        for child in children:
            assert child.stdin is not None
            child.stdin.write(f"1000000 {url}\n")
            child.stdin.close()
        for child in children:
            assert child.stdout is not None
            assert int(child.stdout.read()) > 0
            assert 0 == child.wait(30)
        assert schema_of(open_store(url, read_only=True)).is_current
