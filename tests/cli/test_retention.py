"""`streamlab retention` reads by itself and changes through the recorder of the database."""

from __future__ import annotations

import getpass
import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import func, insert, select

from streamlab_plugin.cli.retention import retention
from streamlab_plugin.core.errors import ConfigError, InfrastructureError
from streamlab_plugin.link.place import socket_path
from streamlab_plugin.store import tables
from streamlab_plugin.store.archive import read_rows
from streamlab_plugin.store.engine import open_store
from streamlab_plugin.store.partition import ensure_partition
from streamlab_plugin.store.url import fingerprint

DEADLINE_S = 30.0
DAY = 86400


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A user who has set nothing, in a folder whose name is short enough for a socket."""
    folder = Path(tempfile.mkdtemp(prefix="ret-"))
    for name in [name for name in os.environ if name.startswith(("STREAMLAB_", "XDG_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(folder))
    monkeypatch.chdir(folder)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def url(home: Path, database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A database of the user's; in the end no recorder serves it any more."""
    monkeypatch.setenv("STREAMLAB_DATABASE_URL", database_url)
    yield database_url
    path = socket_path(fingerprint(database_url))
    deadline = time.monotonic() + DEADLINE_S
    while path.exists():
        assert time.monotonic() < deadline, "the recorder is still there"
        time.sleep(0.02)


@pytest.fixture
def old(url: str) -> str:
    """The database with a run that ended 15 days ago, with 3 records; the daily cleanup was just there."""
    ended_at = time.time() - 15 * DAY
    day = int(ended_at // DAY)
    rows: dict[Any, Any] = {
        tables.settings: {"id": 1, "hash": "cafe", "body": "{}"},
        tables.runs: {
            "id": 1, "run": "run", "name": "", "state": "completed", "run_day": day, "started_at": ended_at,
            "stopped_at": ended_at, "settings_id": 1, "key_id": "", "host": "", "locustfile": "",
            "expected_workers": 0, "versions": "{}",
        },
        tables.processes: {
            "id": 1, "process": "process", "run_id": 1, "role": "worker", "pid": 1, "state": "closed",
            "opened_at": ended_at, "last_frame": 1, "produced": 3, "stored": 3, "quarantined": 0,
            "dropped": "{}", "privacy": "{}", "users": 0,
        },
        tables.records: [
            {"run_day": day, "process_id": 1, "seq": seq, "series_id": 1, "started_at": ended_at,
             "size_bytes": 1, "outcome": 0}
            for seq in range(3)
        ],
        tables.retention: {"kind": "records", "last_run_at": time.time()},
    }  # fmt: skip
    with open_store(url, read_only=False).begin() as connection:
        ensure_partition(connection, day)
        for table, values in rows.items():
            connection.execute(insert(table), values)
    return url


def call(*words: str) -> Result:
    """Run a command; what it raises is the main command's to report."""
    result = CliRunner().invoke(retention, words)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def records(url: str) -> int:
    """Return how many records there are."""
    with open_store(url, read_only=True).connect() as connection:
        return int(connection.scalar(select(func.count()).select_from(tables.records)) or 0)


class TestShow:
    """`streamlab retention show`."""

    def test_json(self, old: str, home: Path) -> None:
        """Every kind with its bounds, and the archive's folder with what is in it."""
        folder = home / ".local/state/streamlab/archive" / fingerprint(old)
        (folder / "records").mkdir(parents=True)
        (folder / "records" / "x.jsonl.gz").write_bytes(b"12345")
        body = json.loads(call("show", "--json").stdout)
        assert {"folder": str(folder), "files": 1, "size_bytes": 5} == body["archive"]
        found = {one["kind"]: (one["days"], one["longest"], one["archive"]) for one in body["kinds"]}
        assert {
            "records": (14, 90, True), "occurrences": (30, 90, True), "rollups_1s": (14, 730, False),
            "rollups_60s": (90, 730, False), "rollups_3600s": (90, 730, False), "archives": (90, 730, False),
        } == found  # fmt: skip
        assert body["kinds"][0]["last_run_at"] == pytest.approx(time.time(), abs=60)

    @pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
    def test_table(self, old: str) -> None:
        """One line per kind."""
        lines = call("show").stdout.splitlines()
        assert ["occurrences", "30", "1-90", "yes", "default", "never"] == lines[2].split()
        assert lines[-1].startswith("archive: 0 files, 0 bytes in /")


class TestSet:
    """`streamlab retention set`."""

    @pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
    def test_it_changes_what_holds(self, old: str) -> None:
        """Through the recorder, which notes who it was."""
        assert (
            "records is kept for 30 days\n" == call("set", "records", "--days", "30", "--no-archive").stdout
        )
        answer = json.loads(call("set", "records", "--archive", "--json").stdout)
        assert ("records", 30, True) == (answer["kind"], answer["days"], answer["archive"])
        with open_store(old, read_only=True).connect() as connection:
            actors = list(connection.scalars(select(tables.audit.c.actor)))
        assert [getpass.getuser()] * 2 == actors

    @pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
    def test_bounds(self, old: str) -> None:
        """They are checked before a recorder is started."""
        with pytest.raises(ConfigError, match="records cannot be kept for 91 days; choose 1 to 90 days"):
            call("set", "records", "--days", "91")
        assert not socket_path(fingerprint(old)).exists()


class TestRun:
    """`streamlab retention run`."""

    def test_a_dry_run_counts_and_a_real_one_deletes(self, old: str) -> None:
        """S002-115: The same number; the records are in a file then."""
        assert 3 == json.loads(call("run", "--dry-run", "--json").stdout)["due"]["records"]
        assert 3 == records(old)
        report = json.loads(call("run", "--json").stdout)
        assert (3, 3, 1, []) == (
            report["deleted"]["records"], report["archived"]["records"], report["files_made"],
            report["skipped"],
        )  # fmt: skip
        assert 0 == records(old)
        (path,) = Path(json.loads(call("show", "--json").stdout)["archive"]["folder"]).rglob("*.gz")
        assert [0, 1, 2] == [row["seq"] for row in read_rows(path)]

    @pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
    def test_text(self, old: str) -> None:
        """What a person sees."""
        assert ["records", "3", "rows"] == call("run", "--dry-run").stdout.splitlines()[1].split()
        lines = call("run").stdout.splitlines()
        assert ["records", "3", "rows"] == lines[1].split()
        assert "archived 3 rows in 1 files" == lines[-1]


class TestNoDatabase:
    """None of the commands makes one."""

    @pytest.mark.parametrize(
        "words", [["show"], ["set", "records", "--days", "3"], ["run"], ["run", "--dry-run"]]
    )
    def test_it_is_an_error(self, home: Path, words: list[str]) -> None:
        """Which names the place."""
        with pytest.raises(InfrastructureError, match=f"there is no database at {home}/streamlab.db"):
            call(*words)
        assert [] == list(home.glob("*.db"))
