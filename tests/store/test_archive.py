"""An archive file is whole or not there, gives back what was put in, and shows when it is damaged."""

from __future__ import annotations

import gzip
import json
import stat
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, insert, inspect, text

from streamlab_plugin.store import tables
from streamlab_plugin.store.archive import (
    ArchiveFile,
    Written,
    archive_folder,
    archive_path,
    read_keys,
    read_rows,
    verify,
)
from streamlab_plugin.store.archive_row import read_page
from streamlab_plugin.store.engine import open_store
from streamlab_plugin.store.partition import ensure_partition
from streamlab_plugin.store.url import fingerprint

ROWS = [
    {"seq": seq, "endpoint": "/größe\u2028", "latency_ms": seq / 3, "fault": None} for seq in range(2_500)
]


def write(path: Path, rows: list[dict[str, Any]] = ROWS) -> Written:
    """Write a file in two parts."""
    file = ArchiveFile(path)
    file.add(rows[:1000])
    file.add(rows[1000:])
    return file.finish()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file in folders that do not exist yet."""
    return tmp_path / "archive" / "records" / "2026-01-01" / "p.1.jsonl.gz"


class TestArchiveFile:
    """`ArchiveFile`."""

    def test_it_gives_back_what_was_put_in(self, path: Path) -> None:
        """Row by row, with every digit."""
        written = write(path)
        assert ROWS == list(read_rows(path))
        assert (2_500, path.stat().st_size) == (written.rows, written.size_bytes)
        assert verify(path, written.sha256, written.rows) is None

    def test_it_is_gzip_json_lines(self, path: Path) -> None:
        """Any tool can read it."""
        write(path)
        assert ROWS == [json.loads(line) for line in gzip.decompress(path.read_bytes()).split(b"\n")[:-1]]

    def test_the_same_rows_give_the_same_bytes(self, path: Path, tmp_path: Path) -> None:
        """Neither time nor name is in them."""
        other = tmp_path / "other" / "q.jsonl.gz"
        assert write(path).sha256 == write(other).sha256
        assert path.read_bytes() == other.read_bytes()

    def test_only_the_owner_can_read_it(self, path: Path) -> None:
        """The file has mode 0600, each new folder 0700."""
        write(path)
        assert 0o600 == stat.S_IMODE(path.stat().st_mode)
        assert {0o700} == {stat.S_IMODE(folder.stat().st_mode) for folder in list(path.parents)[:3]}

    def test_its_name_is_there_only_when_it_is_whole(self, path: Path) -> None:
        """Until then it is a partial file, which goes when it is discarded."""
        file = ArchiveFile(path)
        file.add(ROWS)
        assert ["p.1.jsonl.gz.part"] == [one.name for one in path.parent.iterdir()]
        file.discard()
        assert [] == list(path.parent.iterdir())

    def test_a_partial_file_is_written_anew(self, path: Path) -> None:
        """What a crash has left does no harm."""
        path.parent.mkdir(parents=True)
        path.with_name(path.name + ".part").write_bytes(b"x" * 1_000_000)
        written = write(path)
        assert verify(path, written.sha256, 2_500) is None
        assert [path] == list(path.parent.iterdir())


class TestVerify:
    """`verify`."""

    @pytest.mark.parametrize("at", [0, 5, 100, -1])
    def test_one_wrong_byte(self, path: Path, at: int) -> None:
        """It is seen wherever it is."""
        written = write(path)
        data = bytearray(path.read_bytes())
        data[at] ^= 1
        path.write_bytes(data)
        assert f"the archive {path} is damaged" in str(verify(path, written.sha256, written.rows))

    @pytest.mark.parametrize("kept", [0, 1, 500])
    def test_a_shorter_file(self, path: Path, kept: int) -> None:
        """It is seen too."""
        written = write(path)
        path.write_bytes(path.read_bytes()[:kept])
        assert "is damaged" in str(verify(path, written.sha256, written.rows))

    def test_a_wrong_number_of_rows(self, path: Path) -> None:
        """The reason has both numbers."""
        written = write(path)
        assert "has 2500 rows, not 2501" in str(verify(path, written.sha256, 2_501))

    def test_no_file(self, path: Path) -> None:
        """The reason is the system's."""
        assert f"the archive {path} cannot be read (No such file or directory)" == verify(path, "", 0)


class TestReadKeys:
    """`read_keys`."""

    def test_chunks_are_bounded(self, path: Path) -> None:
        """In rows, and together they are all."""
        write(path)
        chunks = list(read_keys(path, ("seq", "fault")))
        assert [1000, 1000, 500] == [len(chunk) for chunk in chunks]
        assert [(row["seq"], None) for row in ROWS] == [key for chunk in chunks for key in chunk]

    def test_large_rows_make_smaller_chunks(self, path: Path) -> None:
        """The bound in bytes is one MiB."""
        write(path, [{"seq": seq, "payload": "x" * 300_000} for seq in range(9)])
        assert [4, 4, 1] == [len(chunk) for chunk in read_keys(path, ("seq",))]


class TestArchiveFolder:
    """`archive_folder`."""

    URL = "postgresql://joe:hunter2@db/load"

    def test_the_places_in_their_order(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """The variable, the user's state folder, the home folder."""
        monkeypatch.setenv("HOME", str(tmp_path))
        own = Path("streamlab") / "archive" / fingerprint(self.URL)
        given = {"STREAMLAB_ARCHIVE_DIR": "~/cold", "XDG_STATE_HOME": "/state"}
        assert tmp_path / "cold" == archive_folder(self.URL, given)
        assert Path("/state") / own == archive_folder(self.URL, {"XDG_STATE_HOME": "/state"})
        assert tmp_path / ".local" / "state" / own == archive_folder(self.URL, {})

    def test_it_holds_no_password(self) -> None:
        """Nor the name of who connects."""
        assert not {"hunter2", "joe"} & set(str(archive_folder(self.URL, {})).replace("/", "-").split("-"))

    def test_a_name_cannot_lead_out_of_it(self, tmp_path: Path) -> None:
        """A process names itself."""
        found = archive_path(tmp_path, "records", 20_000, "../../../etc/x.1")
        assert tmp_path / "records" / "2024-10-04" == found.parent


class TestReadPage:
    """`read_page`."""

    def test_a_record_is_as_in_records_flat(self, database_url: str) -> None:
        """The same columns in the same order, with the payload as an object of the very values."""
        engine = open_store(database_url, read_only=False)
        with engine.begin() as connection:
            ensure_partition(connection, 20_000)
            _add_record(connection)
            (row,) = _page(connection)
            flat = dict(connection.execute(text("SELECT * FROM records_flat")).mappings().one())
            columns = [column["name"] for column in inspect(connection).get_columns("records_flat")]
        assert columns == list(row)
        payload = {"battery": 0.1, "on": True, "serial": 2**70, "place": {"x": [1, None]}}
        assert payload == {key: json.loads(bytes(value)) for key, value in row.pop("payload").items()}
        del flat["payload"]
        assert flat == row

    def test_a_record_without_its_series(self, database_url: str) -> None:
        """It is archived all the same: it would be deleted too."""
        engine = open_store(database_url, read_only=False)
        with engine.begin() as connection:
            ensure_partition(connection, 20_000)
            _add_record(connection)
            connection.execute(text("DELETE FROM series"))
            (row,) = _page(connection)
        assert (7, None) == (row["seq"], row["endpoint"])


def _page(connection: Connection) -> list[dict[str, Any]]:
    return read_page(connection, tables.records, ("seq",), [], None, 10)


def _add_record(connection: Connection) -> None:
    values: dict[Any, dict[str, Any]] = {
        tables.settings: {"id": 1, "hash": "cafe", "body": "{}"},
        tables.runs: {
            "id": 1, "run": "run", "name": "", "state": "completed", "run_day": 20_000, "started_at": 1.0,
            "settings_id": 1, "key_id": "", "host": "", "locustfile": "", "expected_workers": 0,
            "versions": "{}",
        },
        tables.processes: {
            "id": 1, "process": "process", "run_id": 1, "role": "worker", "pid": 1, "state": "closed",
            "opened_at": 1.0, "last_frame": 1, "produced": 1, "stored": 1, "quarantined": 0,
            "dropped": "{}", "privacy": "{}", "users": 0,
        },
        tables.series: {
            "id": 1, "protocol": "mqtt", "operation": "publish", "endpoint": "devices/{id}",
            "direction": "out", "user_class": "U",
        },
        tables.shapes: {"id": 1, "schema_hash": "5h4p3", "keys": '["battery", "on", "serial", "place"]'},
        tables.errors: {"id": 1, "error_type": "Timeout", "error_message": "no answer"},
        tables.records: {
            "run_day": 20_000, "process_id": 1, "seq": 7, "series_id": 1, "started_at": 0.1 + 0.2,
            "latency_ms": 1e-7, "size_bytes": 2**40, "shape_id": 1, "outcome": 2, "error_id": 1,
            "payload": f'[0.1, true, {2**70}, {{"x": [1, null]}}]', "stream": "s", "stream_seq": 2**40,
        },
    }  # fmt: skip
    for table, row in values.items():
        connection.execute(insert(table).values(row))
