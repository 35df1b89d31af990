"""`streamlab db`: what is in the database, whether it adds up, and orders that change it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from ordered import taking_orders
from recorded import add_run
from sqlalchemy import delete, text

from streamlab_plugin.cli.db import db
from streamlab_plugin.core.errors import InfrastructureError
from streamlab_plugin.store import tables
from streamlab_plugin.store.engine import open_store


def call(url: str, *arguments: str) -> Result:
    """Run `streamlab db` on a database."""
    return CliRunner().invoke(db, arguments, env={"STREAMLAB_DATABASE_URL": url})


@pytest.fixture(autouse=True)
def nobody_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No recorder of another test is found."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))


@pytest.fixture
def url(database_url: str) -> str:
    """A database with one finished run."""
    with open_store(database_url, read_only=False).begin() as conn:
        add_run(conn, rate=0.5)
    return database_url


class TestStatus:
    def test_text(self, url: str) -> None:
        """Engine, schema, rows and newest run, one line each."""
        lines = call(url, "status").stdout.splitlines()
        words = {line.split()[0]: line for line in lines}
        assert words["database"].split()[1] in ("sqlite", "postgresql")
        assert "runs 1, series 7" in words["rows"]
        assert "33333333 single records, completed, started 2025-10-09 09:43:20 UTC" in words["newest"]
        assert words["recorder"] == "recorder   none on this host"
        assert ("clients" in words) is url.startswith("postgresql")

    def test_json(self, url: str) -> None:
        """The same as values."""
        doc = json.loads(call(url, "status", "--json").stdout)
        assert doc["schema"]["is_current"] is True
        assert doc["rows"]["runs"] == {"rows": 1, "kind": "exact"}
        assert doc["size_bytes"] > 10_000
        assert (doc["newest_run"]["state"], doc["recorder"]) == ("completed", {"is_alive": False})

    def test_no_password(self, postgres: Any) -> None:
        """The password of the URL is not shown."""
        url = postgres.create_database().replace("streamlab@", "streamlab:very-secret@")
        shown = call(url, "status").stdout
        assert "very-secret" not in shown
        assert "schema     none, this Streamlab wants" in shown

    def test_older_schema(self, url: str) -> None:
        """Where the schema is not this version's, that is all that is said."""
        with open_store(url, read_only=False).begin() as conn:
            conn.execute(text("UPDATE alembic_version SET version_num = '0001'"))
        lines = call(url, "status").stdout.splitlines()
        assert lines[1].startswith("schema     0001, this Streamlab wants ")
        assert ["recorder   none on this host", "spool      empty"] == lines[2:]

    def test_recorder(self, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """A recorder that serves the database is seen."""
        with taking_orders(monkeypatch, url, {}):
            assert "recorder   alive" in call(url, "status").stdout

    def test_missing(self, tmp_path: Path) -> None:
        """A database that is not there is an error and stays missing."""
        for command in ("status", "check", "migrate", "vacuum"):
            result = call(f"sqlite:///{tmp_path / 'none.db'}", command)
            assert isinstance(result.exception, InfrastructureError)
        assert not (tmp_path / "none.db").exists()


class TestCheck:
    def test_well(self, url: str) -> None:
        """A database that is well is exit code 0."""
        result = call(url, "check")
        assert (result.exit_code, result.stdout) == (0, "1 finished run checked, no problems\n")

    def test_not_well(self, url: str) -> None:
        """Every problem is a line, and the exit code 4."""
        with open_store(url, read_only=False).begin() as conn:
            conn.execute(text("UPDATE processes SET produced = produced + 1"))
            column = tables.rollups.c
            conn.execute(
                delete(tables.rollups).where(
                    column.period_s == 60, column.series_id == 2, column.process_id == 1
                )
            )
        result = call(url, "check")
        assert result.exit_code == 4
        assert [line.split(": ")[0] for line in result.stdout.splitlines()] == [
            *["run 33333333, process 00000001"] * 3,
            "run 33333333, process 00000002",
            "1 finished run checked, 4 problems",
        ]
        assert len(json.loads(call(url, "check", "--json").stdout)["problems"]) == 4

    @pytest.mark.parametrize(("version", "said"), [("0001", "older than this"), ("9999", "newer Streamlab")])
    def test_another_schema(self, url: str, version: str, said: str) -> None:
        """A schema of another version is not checked."""
        with open_store(url, read_only=False).begin() as conn:
            conn.execute(text(f"UPDATE alembic_version SET version_num = '{version}'"))
        assert said in str(call(url, "check").exception)

    def test_no_streamlab_database(self, tmp_path: Path) -> None:
        """Neither is a file of something else."""
        (tmp_path / "other.db").write_bytes(b"")
        assert "not a Streamlab database" in str(
            call(f"sqlite:///{tmp_path / 'other.db'}", "check").exception
        )


class TestOrders:
    """What changes the database is done by a recorder."""

    @pytest.mark.parametrize(
        ("command", "answer", "shown", "exit_code"),
        [
            ("migrate", {"from": "0001", "to": "0006"}, "Schema 0001 is now 0006.\n", 0),
            ("migrate", {"from": None, "to": "0006"}, "Schema (none) is now 0006.\n", 0),
            ("migrate", {"from": "0006", "to": "0006"}, "The schema is 0006 already.\n", 0),
            (
                "replay",
                {"batches": 2, "records": 4_000, "left": 0},
                "2 batches with 4,000 records stored, 0 left\n",
                0,
            ),
            (
                "replay",
                {"batches": 0, "records": 0, "left": 3},
                "0 batches with 0 records stored, 3 left\n",
                4,
            ),
            ("vacuum", {"before_bytes": 12_300_000, "after_bytes": 999}, "12.3 MB before, 999 B now\n", 0),
        ],
    )
    def test_order(
        self, url: str, monkeypatch: pytest.MonkeyPatch, command: str, answer: Any, shown: str, exit_code: int
    ) -> None:
        """The recorder's answer is said in a sentence, or given as it is."""
        with taking_orders(monkeypatch, url, {f"db.{command}": answer}) as taker:
            result = call(url, command)
            values = call(url, command, "--json")
        assert (result.exit_code, result.stdout) == (exit_code, shown)
        assert answer == json.loads(values.stdout)
        assert taker.orders == [(f"db.{command}", {})] * 2
