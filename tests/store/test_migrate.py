"""A database gets the schema that the code expects, and nothing else is touched."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import inspect, text

from streamlab_plugin.core.errors import InfrastructureError
from streamlab_plugin.store import tables
from streamlab_plugin.store.engine import open_store
from streamlab_plugin.store.migrate import migrate


@pytest.fixture
def url(tmp_path: Path) -> str:
    """Return the URL of a database that does not exist yet."""
    return f"sqlite:///{tmp_path}/test.db"


class TestMigrate:
    """`migrate`."""

    def test_it_makes_the_tables_of_the_code(self, url: str) -> None:
        """Same tables, same columns in the same order, same keys."""
        engine = open_store(url, read_only=False)
        migrate(engine)
        found = inspect(engine)
        for table in tables.metadata.sorted_tables:
            assert table.columns.keys() == [column["name"] for column in found.get_columns(table.name)]
            primary = [column.name for column in table.primary_key.columns]
            assert primary == found.get_pk_constraint(table.name)["constrained_columns"]

    def test_a_second_time_changes_nothing(self, url: str) -> None:
        """It is idempotent."""
        engine = open_store(url, read_only=False)
        migrate(engine)
        with engine.connect() as connection:
            before = connection.execute(text("SELECT sql FROM sqlite_master ORDER BY name")).all()
        migrate(engine)
        with engine.connect() as connection:
            assert before == connection.execute(text("SELECT sql FROM sqlite_master ORDER BY name")).all()

    def test_the_file_can_give_space_back(self, url: str) -> None:
        """auto_vacuum is incremental (2) and the journal is a write-ahead log, from the first table on."""
        engine = open_store(url, read_only=False)
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

    def test_another_file_is_refused(self, url: str, tmp_path: Path) -> None:
        """A file that is no database is not overwritten."""
        path = tmp_path / "test.db"
        path.write_text("precious notes, not a database at all " * 50)
        with pytest.raises(InfrastructureError, match="not a Streamlab database"):
            migrate(open_store(url, read_only=False))
        assert path.read_text().startswith("precious")
