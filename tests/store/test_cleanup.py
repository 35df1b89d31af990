"""What is too old goes, archived first where it is to be; whatever interrupts it, nothing is lost."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from postgres import PostgresServer
from sqlalchemy import Connection, Engine, Table, delete, event, func, insert, select, text, update

from streamlab_plugin.store import tables
from streamlab_plugin.store.archive import CHUNK_ROWS, read_rows, verify
from streamlab_plugin.store.cleanup import Report, cleanup
from streamlab_plugin.store.engine import open_store
from streamlab_plugin.store.migrate import migrate
from streamlab_plugin.store.partition import ensure_partition
from streamlab_plugin.store.partition import name as partition_name
from streamlab_plugin.store.retention import due, last_run_at, policies, set_policy

NOW = 1_760_000_000.0
DAY = 86400
STEP_LIMIT = 5_000

# Forks for each line, so that a fresh process does not cost an interpreter's start. Its chunks are a tenth of
# the real ones, so that few rows are enough for several.
CHILD = """
import os, signal, sys
from pathlib import Path
from streamlab_plugin.store import archive, unit_cleanup
from streamlab_plugin.store.cleanup import cleanup
from streamlab_plugin.store.engine import open_store
archive.CHUNK_ROWS //= 10
unit_cleanup.CHUNK_ROWS //= 10
unit_cleanup._FIRST_PAGE_ROWS //= 10
url, folder, now = sys.argv[1:]
for line in sys.stdin:
    if (child := os.fork()) == 0:
        try:
            with open_store(url, read_only=False).connect() as connection:
                for step, _text in enumerate(cleanup(connection, Path(folder), float(now)), 1):
                    if step == int(line):
                        os.kill(os.getpid(), signal.SIGKILL)
            os._exit(0)
        finally:
            os._exit(1)
    print(os.waitpid(child, 0)[1], flush=True)
"""


class Cleaner:
    """Another process that does cleanups."""

    def __init__(self, url: str, folder: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", CHILD, url, str(folder), str(NOW)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip

    def clean(self, killed_after: int = 0) -> bool:
        """Run a cleanup that is killed after so many steps (0: never); return whether it came to its end."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{killed_after}\n")
        self._process.stdin.flush()
        status = int(self._process.stdout.readline())
        assert status in (0, signal.SIGKILL)
        return status == 0

    def close(self) -> None:
        """End it."""
        self._process.communicate(timeout=30)


@pytest.fixture(scope="module")
def shared_url(postgres: PostgresServer) -> Iterator[str]:
    """A PostgreSQL database for all tests here: to make one takes longer than most of them."""
    url = postgres.create_database()
    migrate(open_store(url, read_only=False))
    yield url
    postgres.drop_database(url.rpartition("/")[2])


@pytest.fixture(params=("sqlite", "postgresql"))
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database with the present schema and nothing in it, once on each engine."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path / 'streamlab.db'}"
        migrate(open_store(url, read_only=False))
        return url
    url = request.getfixturevalue("shared_url")
    partitions = text("SELECT inhrelid::regclass FROM pg_inherits WHERE inhparent = to_regclass('records')")
    with open_store(url, read_only=False).begin() as connection:
        for partition in connection.scalars(partitions).all():
            connection.execute(text(f"DROP TABLE {partition}"))
        for table in reversed(tables.metadata.sorted_tables):
            connection.execute(delete(table))
    return str(url)


@pytest.fixture
def cleaner(database_url: str, folder: Path) -> Iterator[Cleaner]:
    """A process that can be killed in mid-cleanup."""
    cleaner = Cleaner(database_url, folder)
    yield cleaner
    cleaner.close()


@pytest.fixture
def engine(database_url: str) -> Engine:
    """The test's own database, open for writing."""
    return open_store(database_url, read_only=False)


@pytest.fixture
def connection(engine: Engine) -> Iterator[Connection]:
    """The recorder's connection."""
    with engine.connect() as connection:
        yield connection


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where archives go."""
    return tmp_path / "archive"


def add_run(
    connection: Connection,
    *,
    ended_days_ago: float,
    state: str = "completed",
    processes: int = 1,
    stopped: bool = True,
) -> list[int]:
    """Store a run that went on for ten minutes, and return the keys of its processes."""
    ended_at = NOW - ended_days_ago * DAY
    with connection.begin():
        connection.execute(
            text("INSERT INTO settings (hash, body) VALUES ('cafe', '{}') ON CONFLICT DO NOTHING")
        )
        settings_id = connection.scalar(select(tables.settings.c.id))
        known = connection.scalar(select(func.count()).select_from(tables.runs)) or 0
        run_id = connection.execute(
            insert(tables.runs).values(
                run=f"run-{known}", name="soak", state=state, run_day=int((ended_at - 600) // DAY),
                started_at=ended_at - 600, stopped_at=ended_at if stopped else None, settings_id=settings_id,
                key_id="k1", host="", locustfile="", expected_workers=0, versions="{}",
            )
        ).inserted_primary_key[0]  # fmt: skip
        return [
            connection.execute(
                insert(tables.processes).values(
                    process=f"process-{known}-{at}", run_id=run_id, role="worker", pid=1, state="closed",
                    opened_at=ended_at - 600, closed_at=ended_at, last_frame=1, produced=0, stored=0,
                    quarantined=0, dropped="{}", privacy="{}", users=0, seen_at=ended_at,
                )
            ).inserted_primary_key[0]
            for at in range(processes)
        ]  # fmt: skip


def add_records(connection: Connection, process: int, count: int, first: int = 0) -> None:
    """Store records of a process, every second with a payload, as the recorder does."""
    with connection.begin():
        day = run_day(connection, process)
        ensure_partition(connection, day)
        for table, values in (
            (tables.series, {"id": 1, "protocol": "http", "operation": "GET", "endpoint": "/items",
                             "direction": "out", "user_class": "U"}),
            (tables.shapes, {"id": 1, "schema_hash": "5h4p3", "keys": '["battery", "on"]'}),
        ):  # fmt: skip
            if connection.scalar(select(func.count()).select_from(table)) == 0:
                connection.execute(insert(table).values(values))
        connection.execute(
            insert(tables.records),
            [
                {
                    "run_day": day, "process_id": process, "seq": seq, "series_id": 1,
                    "started_at": NOW + seq / 7, "latency_ms": seq / 3, "size_bytes": seq, "outcome": 0,
                    "shape_id": 1 if seq % 2 else None, "payload": f"[{seq}, true]" if seq % 2 else None,
                }
                for seq in range(first, first + count)
            ],
        )  # fmt: skip
        connection.execute(
            update(tables.processes)
            .where(tables.processes.c.id == process)
            .values(stored=tables.processes.c.stored + count, last_frame=tables.processes.c.last_frame + 1)
        )


def run_day(connection: Connection, process: int) -> int:
    """Return the day of a process's run, in the caller's transaction."""
    day = connection.scalar(
        select(tables.runs.c.run_day)
        .join_from(tables.processes, tables.runs)
        .where(tables.processes.c.id == process)
    )
    assert day is not None
    return int(day)


def name_of(connection: Connection, process: int) -> str:
    """Return the public id of a process."""
    with connection.begin():
        return connection.execute(
            select(tables.processes.c.process).where(tables.processes.c.id == process)
        ).scalar_one()


def add_signature(connection: Connection, fingerprint: str, status: str) -> None:
    """Store a signature."""
    with connection.begin():
        run_id = connection.scalar(select(func.min(tables.runs.c.id)))
        connection.execute(
            insert(tables.signatures).values(
                fingerprint=fingerprint, anomaly_type="slow", protocol="http", endpoint="/items",
                error_class="", rule="slow", description="", severity="warning", status=status,
                first_seen=NOW, last_seen=NOW, count=1, first_run_id=run_id, last_run_id=run_id,
            )
        )  # fmt: skip


def add_occurrences(
    connection: Connection, process: int, fingerprint: str, days_ago: Sequence[float]
) -> None:
    """Store one occurrence per age."""
    with connection.begin():
        connection.execute(
            insert(tables.occurrences),
            [
                {
                    "process_id": process, "fingerprint": fingerprint, "start": at * 10, "count": 3,
                    "first_at": NOW - age * DAY - 1, "last_at": NOW - age * DAY, "rule": "slow",
                    "anomaly_type": "slow", "severity": "warning", "protocol": "http", "endpoint": "/items",
                    "error_class": "", "message": "latency_ms 312.5 > 200",
                    "exemplars": '[{"seq": 7, "latency_ms": 312.5}]',
                }
                for at, age in enumerate(days_ago)
            ],
        )  # fmt: skip


def add_rollups(connection: Connection, process: int, period_s: int, starts: Sequence[int]) -> None:
    """Store rollups, and gauges where the period is a second."""
    with connection.begin():
        connection.execute(
            insert(tables.rollups),
            [
                {
                    "process_id": process, "period_s": period_s, "start": start, "series_id": 1, "count": 1,
                    "errors": 0, "timeouts": 0, "interrupted": 0, "answered": 1, "latency_count": 0,
                    "latency_sum": 0.0, "size_sum": 0,
                }
                for start in starts
            ],
        )  # fmt: skip
        if period_s == 1:
            gauges = [{"process_id": process, "start": start, "users": 1} for start in starts]
            connection.execute(insert(tables.gauges), gauges)


def clean(connection: Connection, folder: Path, now: float = NOW) -> Report:
    """Run a cleanup to its end."""
    steps = cleanup(connection, folder, now)
    for _step in range(STEP_LIMIT):
        try:
            next(steps)
        except StopIteration as end:
            report: Report = end.value
            return report
        assert not connection.in_transaction()
    raise AssertionError(f"more than {STEP_LIMIT} steps")


def change(connection: Connection, kind: str, days: int | None, archive: bool | None, actor: str) -> None:
    """Set a policy."""
    with connection.begin():
        set_policy(connection, kind, days, archive, actor)


def count(connection: Connection, table: Table) -> int:
    """Return how many rows a table has."""
    with connection.begin():
        return int(connection.scalar(select(func.count()).select_from(table)) or 0)


def entries(connection: Connection) -> list[Any]:
    """Return the rows of archives."""
    with connection.begin():
        return list(connection.execute(select(tables.archives).order_by(tables.archives.c.id)))


def archived(connection: Connection, kind: str = "records") -> Counter[Any]:
    """Return what distinguishes the rows in the files of a kind, with how often each is there."""
    found: Counter[Any] = Counter()
    for entry in entries(connection):
        if entry.kind == kind:
            assert verify(Path(entry.path), entry.sha256, entry.rows) is None
            found.update(
                (row["process"], row.get("seq", row.get("start"))) for row in read_rows(Path(entry.path))
            )
    return found


def stored(connection: Connection, kind: str = "records") -> set[Any]:
    """Return the same of the rows in the table."""
    table, key = (tables.records, "seq") if kind == "records" else (tables.occurrences, "start")
    query = select(tables.processes.c.process, table.c[key]).join_from(
        table, tables.processes, tables.processes.c.id == table.c.process_id
    )
    with connection.begin():
        return {tuple(row) for row in connection.execute(query)}


class TestRecords:
    """The raw records of a run go together."""

    def test_the_age_of_the_runs_end_counts(self, connection: Connection, folder: Path) -> None:
        """S002-71: 13.99 days after it they stay, 14.01 days after it they go, whatever the end was."""
        old, young = list[str](), list[str]()
        for state in ("completed", "degraded", "aborted", "failed"):
            for days_ago, names in ((13.99, young), (14.01, old)):
                (process,) = add_run(connection, ended_days_ago=days_ago, state=state)
                add_records(connection, process, 5)
                names.append(name_of(connection, process))
        report = clean(connection, folder)
        assert 20 == report.deleted["records"] == report.archived["records"]
        assert {(name, seq) for name in young for seq in range(5)} == stored(connection)
        assert Counter((name, seq) for name in old for seq in range(5)) == archived(connection)

    def test_a_running_run_keeps_everything(self, connection: Connection, folder: Path) -> None:
        """However old its rows are."""
        (process,) = add_run(connection, ended_days_ago=400, state="running", stopped=False)
        add_records(connection, process, 3)
        add_rollups(connection, process, 1, [1000])
        add_signature(connection, "f1", "resolved")
        add_occurrences(connection, process, "f1", [400])
        assert 0 == sum(clean(connection, folder).deleted.values())
        assert [3, 1, 1, 1] == [
            count(connection, table)
            for table in (tables.records, tables.rollups, tables.gauges, tables.occurrences)
        ]

    def test_a_run_without_an_end(self, connection: Connection, folder: Path) -> None:
        """Its end is when one of its processes was last heard of, or its beginning if none was."""
        # When a process was closed and when it was seen, in days ago.
        young = [(13.99, None), (None, 13.99), (20, 13.99), (13.99, 20)]
        old = [(14.01, 20), (None, None)]
        staying = set()
        for closed, seen in young + old:
            process, silent = add_run(
                connection, ended_days_ago=20, state="aborted", stopped=False, processes=2
            )
            add_records(connection, process, 4)
            at = {
                "closed_at": None if closed is None else NOW - closed * DAY,
                "seen_at": None if seen is None else NOW - seen * DAY,
            }
            column = tables.processes.c.id
            with connection.begin():
                connection.execute(update(tables.processes).where(column == process).values(at))
                connection.execute(
                    update(tables.processes).where(column == silent).values(closed_at=None, seen_at=None)
                )
            if (closed, seen) in young:
                staying |= {(name_of(connection, process), seq) for seq in range(4)}
        assert 8 == clean(connection, folder).deleted["records"]
        assert staying == stored(connection)

    def test_quarantine_goes_with_them(self, connection: Connection, folder: Path) -> None:
        """And counts among them, but is not archived."""
        (process,) = add_run(connection, ended_days_ago=15)
        with connection.begin():
            connection.execute(
                insert(tables.quarantine).values(process_id=process, seq=1, reason="NUL", noted_at=NOW)
            )
        report = clean(connection, folder)
        assert (1, {}) == (report.deleted["records"], report.archived)
        assert 0 == count(connection, tables.quarantine)

    def test_without_archive(self, connection: Connection, folder: Path) -> None:
        """They are deleted and no file is made."""
        change(connection, "records", None, archive=False, actor="ann")
        old, other = add_run(connection, ended_days_ago=15, processes=2)
        add_records(connection, old, 2_500)
        add_records(connection, other, 10)
        report = clean(connection, folder)
        assert (2_510, {}, 0) == (report.deleted["records"], report.archived, report.files_made)
        assert 0 == count(connection, tables.records)
        assert [] == list(folder.rglob("*.gz"))

    def test_later_records_of_an_archived_process(self, connection: Connection, folder: Path) -> None:
        """They go into a second file, and the first stays as it is."""
        (process,) = add_run(connection, ended_days_ago=15)
        add_records(connection, process, 5)
        clean(connection, folder)
        first = Path(entries(connection)[0].path).read_bytes()
        add_records(connection, process, 3, first=5)
        assert 3 == clean(connection, folder, NOW + DAY).deleted["records"]
        assert [("process-0-0.1", 5, "done"), ("process-0-0.2", 3, "done")] == [
            (entry.unit, entry.rows, entry.state) for entry in entries(connection)
        ]
        assert first == Path(entries(connection)[0].path).read_bytes()
        assert Counter(("process-0-0", seq) for seq in range(8)) == archived(connection)


class TestOccurrences:
    """Only those of resolved signatures go."""

    def test_status_and_age_count(self, connection: Connection, folder: Path) -> None:
        """At 29.99 days they stay, at 30.01 days they go, unless the signature is not resolved."""
        (process,) = add_run(connection, ended_days_ago=40)
        add_signature(connection, "resolved", "resolved")
        add_signature(connection, "new", "new")
        add_occurrences(connection, process, "resolved", [29.99, 30.01, 35])
        add_occurrences(connection, process, "new", [29.99, 30.01, 35])
        report = clean(connection, folder)
        assert (2, 2) == (report.deleted["occurrences"], report.archived["occurrences"])
        with connection.begin():
            left = connection.execute(select(tables.occurrences.c["fingerprint", "start"])).all()
        assert [("new", 0), ("new", 10), ("new", 20), ("resolved", 0)] == sorted(map(tuple, left))

    def test_more_of_a_process_later(self, connection: Connection, folder: Path) -> None:
        """What gets too old afterwards has a file of its own."""
        (process,) = add_run(connection, ended_days_ago=40)
        add_signature(connection, "f1", "resolved")
        add_occurrences(connection, process, "f1", [29.5, 31])
        assert [1, 1] == [
            clean(connection, folder, NOW + days * DAY).deleted["occurrences"] for days in (0, 1)
        ]
        assert ["process-0-0.1", "process-0-0.2"] == [entry.unit for entry in entries(connection)]
        assert Counter({("process-0-0", 0): 1, ("process-0-0", 10): 1}) == archived(connection, "occurrences")

    def test_one_that_grew_after_it_was_archived_stays(self, connection: Connection, folder: Path) -> None:
        """A file holds its older state, so it is archived again as it is now."""
        (process,) = add_run(connection, ended_days_ago=40)
        add_signature(connection, "f1", "resolved")
        add_occurrences(connection, process, "f1", [31])
        steps = cleanup(connection, folder, NOW)
        while "noted" not in next(steps):
            pass
        steps.close()
        with connection.begin():
            connection.execute(update(tables.occurrences).values(count=4))
        assert 1 == clean(connection, folder).deleted["occurrences"]
        assert [3, 4] == [
            row["count"] for entry in entries(connection) for row in read_rows(Path(entry.path))
        ]

    def test_one_whose_signature_came_back_stays(self, connection: Connection, folder: Path) -> None:
        """Also when that happens between archive and deletion."""
        (process,) = add_run(connection, ended_days_ago=40)
        add_signature(connection, "f1", "resolved")
        add_occurrences(connection, process, "f1", [31])
        steps = cleanup(connection, folder, NOW)
        while "noted" not in next(steps):
            pass
        with connection.begin():
            connection.execute(update(tables.signatures).values(status="new"))
        for _text in steps:
            pass
        assert 1 == count(connection, tables.occurrences)


class TestRollups:
    """They go by the end of their period."""

    def test_the_end_of_the_period_counts(self, connection: Connection, folder: Path) -> None:
        """A period that ended exactly that long ago stays, the one before it goes; so do gauges."""
        (process,) = add_run(connection, ended_days_ago=1)
        staying = set()
        for period_s, days in ((1, 14), (60, 90), (3600, 90)):
            edge = int(NOW) - days * DAY - period_s
            add_rollups(connection, process, period_s, [edge - 1, edge, edge + 1])
            staying |= {(period_s, edge), (period_s, edge + 1)}
        deleted = clean(connection, folder).deleted
        assert [2, 1, 1] == [deleted[f"rollups_{period_s}s"] for period_s in (1, 60, 3600)]
        assert 4 == sum(deleted.values())
        with connection.begin():
            left = connection.execute(select(tables.rollups.c["period_s", "start"]))
            assert staying == {tuple(row) for row in left}

    def test_days_can_be_changed(self, connection: Connection, folder: Path) -> None:
        """For one period without the others."""
        (process,) = add_run(connection, ended_days_ago=1)
        for period_s in (60, 3600):
            add_rollups(connection, process, period_s, [int(NOW - 4 * DAY) // period_s * period_s])
        change(connection, "rollups_1s", 3, None, "ann")
        change(connection, "rollups_60s", 3, None, "ann")
        deleted = clean(connection, folder).deleted
        assert (1, 0) == (deleted["rollups_60s"], deleted["rollups_3600s"])


class TestArchives:
    """Files have an end too."""

    def test_an_expired_file_goes(self, connection: Connection, folder: Path) -> None:
        """At 89.99 days it stays, at 90.01 days file and row are gone."""
        (process,) = add_run(connection, ended_days_ago=15)
        add_records(connection, process, 5)
        clean(connection, folder)
        (path,) = folder.rglob("*.gz")
        assert 0 == clean(connection, folder, NOW + 89.99 * DAY).files_expired
        assert path.exists()
        report = clean(connection, folder, NOW + 90.01 * DAY)
        assert (1, 1) == (report.files_expired, report.deleted["archives"])
        assert ([], []) == (entries(connection), list(folder.rglob("*.gz")))

    def test_a_file_that_has_gone_already(self, connection: Connection, folder: Path) -> None:
        """Its row goes all the same: that is what a crash in between leaves."""
        (process,) = add_run(connection, ended_days_ago=15)
        add_records(connection, process, 5)
        clean(connection, folder)
        Path(entries(connection)[0].path).unlink()
        assert 1 == clean(connection, folder, NOW + 91 * DAY).files_expired
        assert [] == entries(connection)

    def test_one_whose_rows_are_to_stay_now(self, connection: Connection, folder: Path) -> None:
        """After a crash and a change of mind they stay, and it is taken up when they are too old again."""
        (process,) = add_run(connection, ended_days_ago=15)
        add_records(connection, process, 5)
        steps = cleanup(connection, folder, NOW)
        while "noted" not in next(steps):
            pass
        steps.close()
        change(connection, "records", 20, None, "ann")
        assert (0, 0) == (clean(connection, folder).deleted["records"], clean(connection, folder).files_made)
        assert ["written"] == [entry.state for entry in entries(connection)]
        assert 5 == clean(connection, folder, NOW + 6 * DAY).deleted["records"]
        assert ["done"] == [entry.state for entry in entries(connection)]

    def test_new_days_hold_for_files_that_are_there(self, connection: Connection, folder: Path) -> None:
        """With fewer days they go earlier."""
        (process,) = add_run(connection, ended_days_ago=15)
        add_records(connection, process, 5)
        clean(connection, folder)
        change(connection, "archives", 5, None, "ann")
        assert [0, 1] == [clean(connection, folder, NOW + days * DAY).files_expired for days in (4.99, 5.01)]

    def test_a_damaged_file_blocks_deletion(self, connection: Connection, folder: Path) -> None:
        """S002-115: Its rows stay and the report says why; another process's go."""
        broken, whole = add_run(connection, ended_days_ago=15, processes=2)
        add_records(connection, broken, 5)
        add_records(connection, whole, 5)
        steps = cleanup(connection, folder, NOW)
        while "noted" not in next(steps):
            pass
        steps.close()
        path = Path(entries(connection)[0].path)
        path.write_bytes(path.read_bytes()[:-9] + b"123456789")
        for _again in range(2):
            report = clean(connection, folder)
            (skipped,) = report.skipped
            assert ("records", "process-0-0.1") == (skipped.kind, skipped.unit)
            assert "is damaged" in skipped.reason
            assert {("process-0-0", seq) for seq in range(5)} == stored(connection)
        assert ["written", "done"] == [entry.state for entry in entries(connection)]

    def test_a_missing_file_blocks_deletion(self, connection: Connection, folder: Path) -> None:
        """The row promises a file, so the rows in the table are not archived as if they were all."""
        (process,) = add_run(connection, ended_days_ago=15)
        add_records(connection, process, 5)
        steps = cleanup(connection, folder, NOW)
        while "noted" not in next(steps):
            pass
        steps.close()
        Path(entries(connection)[0].path).unlink()
        report = clean(connection, folder)
        assert ["No such file" in one.reason for one in report.skipped] == [True]
        assert 5 == count(connection, tables.records)

    def test_a_folder_that_cannot_be_made(self, connection: Connection, folder: Path) -> None:
        """What is to be archived stays, and the rest goes."""
        (process,) = add_run(connection, ended_days_ago=15)
        add_records(connection, process, 5)
        add_rollups(connection, process, 1, [1000])
        folder.write_text("in the way")
        report = clean(connection, folder)
        assert {"records", "occurrences"} == {one.kind for one in report.skipped}
        assert (0, 2) == (report.deleted["records"], report.deleted["rollups_1s"])

    def test_two_at_once(self, engine: Engine, connection: Connection, folder: Path) -> None:
        """The second leaves everything to the first."""
        (process,) = add_run(connection, ended_days_ago=15)
        add_records(connection, process, 500)
        steps = cleanup(connection, folder, NOW)
        next(steps)
        with engine.connect() as other:
            report = clean(other, folder)
        assert ["another cleanup is going on"] == [one.reason for one in report.skipped]
        steps.close()
        assert 500 == clean(connection, folder).deleted["records"]


class TestSteps:
    """Every step is bounded."""

    def test_no_step_touches_more_rows_than_a_chunk(self, connection: Connection, folder: Path) -> None:
        """With 3,500 records of one process and 3,000 rollups and gauges, on no engine."""
        (process,) = add_run(connection, ended_days_ago=15)
        # A second run of the day that is not over keeps PostgreSQL from dropping the day at once.
        (fresh,) = add_run(connection, ended_days_ago=15, state="running", stopped=False)
        add_records(connection, process, 3_500)
        add_records(connection, fresh, 1)
        add_rollups(connection, process, 1, range(1000, 2500))
        touched: list[int] = []

        @event.listens_for(connection, "after_cursor_execute")
        def note(_conn: Any, cursor: Any, statement: str, *_rest: Any) -> None:
            if statement.startswith("DELETE"):
                touched[-1] += cursor.rowcount

        @event.listens_for(connection, "begin")
        def begin(_conn: Any) -> None:
            touched.append(0)

        before = count(connection, tables.records)
        steps, sizes = cleanup(connection, folder, NOW), [before]
        for _text in steps:
            sizes.append(count(connection, tables.records))
        assert 3_500 + 3_000 == sum(touched)
        assert max(touched) <= CHUNK_ROWS
        assert max(old - new for old, new in itertools.pairwise(sizes)) <= CHUNK_ROWS
        assert 1 == count(connection, tables.records)

    def test_large_payloads_make_smaller_chunks(self, connection: Connection, folder: Path) -> None:
        """The rows held at one time are bounded in bytes too."""
        (process,) = add_run(connection, ended_days_ago=15)
        add_records(connection, process, 300)
        with connection.begin():
            connection.execute(
                update(tables.records).values(payload=json.dumps([os.urandom(16_000).hex(), 1]), shape_id=1)
            )
        lines = [line for line in cleanup(connection, folder, NOW) if "archived" in line]
        sizes = [int(line.split()[1].replace(",", "")) for line in lines]
        pages = [new - old for old, new in itertools.pairwise([0, *sizes])]
        assert 300 == sum(pages)
        assert max(pages[1:]) <= 35

    @pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
    def test_a_sqlite_file_gets_smaller(self, connection: Connection, folder: Path) -> None:
        """The space goes back to the file system, in several steps."""
        (process,) = add_run(connection, ended_days_ago=15)
        add_records(connection, process, 2_000)
        with connection.begin():
            connection.execute(
                update(tables.records).values(payload=json.dumps(["x" * 3_000, 1]), shape_id=1)
            )
            before = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
        lines = [line for line in cleanup(connection, folder, NOW) if "free pages" in line]
        with connection.begin():
            assert 0 == connection.exec_driver_sql("PRAGMA freelist_count").scalar_one()
            assert connection.exec_driver_sql("PRAGMA page_count").scalar_one() < before / 4
        assert 1 < len(lines) < 10


class TestDue:
    """`due` says what a cleanup does."""

    def test_a_dry_run_counts_what_a_real_one_deletes(self, connection: Connection, folder: Path) -> None:
        """Kind by kind, and changes nothing itself."""
        mixed = add_run(connection, ended_days_ago=15, processes=3)
        (young,) = add_run(connection, ended_days_ago=13)
        for number, process in enumerate([*mixed, young]):
            add_records(connection, process, 100 + number)
            for period_s in (1, 60, 3600):
                add_rollups(connection, process, period_s, [1000, 2000, int(NOW)])
        add_signature(connection, "f1", "resolved")
        add_occurrences(connection, young, "f1", [29, 31, 32])
        with connection.begin():
            connection.execute(
                insert(tables.quarantine).values(process_id=mixed[0], seq=1, reason="NUL", noted_at=NOW)
            )
            connection.execute(
                insert(tables.archives).values(
                    kind="records", unit="gone.1", path=str(folder / "x.jsonl.gz"), sha256="", rows=1,
                    size_bytes=1, state="done", made_at=1, expires_at=NOW - 1,
                )
            )  # fmt: skip
        with connection.begin():
            expected = due(connection, NOW)
            assert expected == due(connection, NOW)
        assert {"records": 304, "occurrences": 2, "rollups_1s": 16, "rollups_60s": 8, "rollups_3600s": 8,
                "archives": 1} == expected  # fmt: skip
        assert expected == clean(connection, folder).deleted
        with connection.begin():
            assert {0} == set(due(connection, NOW).values())


class TestNote:
    """A cleanup says that it was there."""

    def test_each_kind_gets_the_time(self, connection: Connection, folder: Path) -> None:
        """S002-115: And no override by it."""
        with connection.begin():
            assert {None} == {one.last_run_at for one in policies(connection).values()}
        assert last_run_at(connection) == 0
        clean(connection, folder)
        assert NOW == last_run_at(connection)
        with connection.begin():
            assert {(NOW, True)} == {
                (one.last_run_at, one.is_default) for one in policies(connection).values()
            }

    def test_the_report_is_json(self, connection: Connection, folder: Path) -> None:
        """As an order's answer has to be."""
        folder.write_text("in the way")
        answer = clean(connection, folder).to_dict()
        assert answer == json.loads(json.dumps(answer))
        assert {"kind", "unit", "reason"} == set(answer["skipped"][0])


def has_partition(connection: Connection, day: int) -> bool:
    """Whether a day's partition exists."""
    with connection.begin():
        found = connection.scalar(text("SELECT to_regclass(:name)"), {"name": partition_name(day)})
    return found is not None


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
class TestDay:
    """On PostgreSQL a day goes as a whole."""

    @pytest.mark.parametrize("archive", [True, False])
    def test_a_day_that_is_over_is_dropped(self, connection: Connection, folder: Path, archive: bool) -> None:
        """No row is deleted one by one; the archives are done."""
        change(connection, "records", None, archive, "ann")
        processes = add_run(connection, ended_days_ago=20, processes=3)
        for process in processes:
            add_records(connection, process, 50)
        with connection.begin():
            day = run_day(connection, processes[0])
        before, statements = stored(connection), list[str]()
        event.listen(connection, "before_cursor_execute", lambda *given: statements.append(given[2]))
        assert 150 == clean(connection, folder).deleted["records"]
        assert [] == [one for one in statements if one.startswith("DELETE FROM records")]
        assert not has_partition(connection, day)
        assert ["done"] * (3 if archive else 0) == [entry.state for entry in entries(connection)]
        assert (Counter(before) if archive else Counter()) == archived(connection)

    @pytest.mark.parametrize("archive", [True, False])
    def test_a_run_that_is_not_over_keeps_its_day(
        self, connection: Connection, folder: Path, archive: bool
    ) -> None:
        """Only the rows of the others go."""
        change(connection, "records", None, archive, "ann")
        (old,) = add_run(connection, ended_days_ago=20)
        (fresh,) = add_run(connection, ended_days_ago=20, state="running", stopped=False)
        add_records(connection, old, 50)
        add_records(connection, fresh, 5)
        assert 50 == clean(connection, folder).deleted["records"]
        assert {("process-1-0", seq) for seq in range(5)} == stored(connection)

    def test_records_that_come_while_the_day_is_archived(self, connection: Connection, folder: Path) -> None:
        """They are in no file yet, so the day stays until they are in one of their own."""
        first, second = add_run(connection, ended_days_ago=20, processes=2)
        add_records(connection, first, 50)
        add_records(connection, second, 50)
        with connection.begin():
            day = run_day(connection, first)
        steps = cleanup(connection, folder, NOW)
        while "process-0-1.1 noted" not in next(steps):
            pass
        add_records(connection, first, 7, first=50)
        before = stored(connection)
        for _text in steps:
            assert before == stored(connection) | set(archived(connection))
        assert not has_partition(connection, day)
        assert Counter(before) == archived(connection)
        assert [50, 50, 7] == [entry.rows for entry in entries(connection)]

    def test_records_that_came_after_a_crash(self, connection: Connection, folder: Path) -> None:
        """An archive of the cleanup before does not stand for them."""
        (process,) = add_run(connection, ended_days_ago=20)
        add_records(connection, process, 50)
        steps = cleanup(connection, folder, NOW)
        while "noted" not in next(steps):
            pass
        steps.close()
        add_records(connection, process, 7, first=50)
        before = stored(connection)
        assert 57 == clean(connection, folder).deleted["records"]
        assert Counter(before) == archived(connection)

    def test_a_run_that_begins_while_the_day_is_waited_for(
        self, connection: Connection, engine: Engine, folder: Path
    ) -> None:
        """A spool may bring a run of long ago at any moment: its day stays."""
        change(connection, "records", None, archive=False, actor="ann")
        (old,) = add_run(connection, ended_days_ago=20)
        add_records(connection, old, 50)
        steps = cleanup(connection, folder, NOW)
        with engine.connect() as reader, reader.begin():
            reader.execute(text("SELECT count(*) FROM records"))
            while "waiting to drop" not in next(steps):
                pass
        (fresh,) = add_run(connection, ended_days_ago=20, state="running", stopped=False)
        add_records(connection, fresh, 5)
        for _text in steps:
            pass
        assert {("process-1-0", seq) for seq in range(5)} == stored(connection)

    def test_a_day_in_use_is_not_waited_for(
        self, connection: Connection, engine: Engine, folder: Path
    ) -> None:
        """Its rows are deleted; the empty partition goes with the next cleanup."""
        (process,) = add_run(connection, ended_days_ago=20)
        add_records(connection, process, 50)
        with connection.begin():
            day = run_day(connection, process)
        with engine.connect() as reader, reader.begin():
            reader.execute(text("SELECT count(*) FROM records"))
            assert 50 == clean(connection, folder).deleted["records"]
        assert has_partition(connection, day)
        clean(connection, folder)
        assert not has_partition(connection, day)

    def test_an_empty_day_ahead_stays(self, connection: Connection, folder: Path) -> None:
        """Only days before the bound are dropped."""
        today = int(NOW // DAY)
        with connection.begin():
            for day in (today - 30, today - 3, today + 1):
                ensure_partition(connection, day)
        clean(connection, folder)
        assert [False, True, True] == [
            has_partition(connection, day) for day in (today - 30, today - 3, today + 1)
        ]


class TestKill:
    """A cleanup that is killed between any two steps loses nothing and is taken up by the next."""

    KINDS = ("records", "occurrences")

    @pytest.mark.parametrize(
        ("database_url", "is_day_over", "first_step", "stride"),
        [  # PostgreSQL takes turns: the quick cases have a third of its steps
            ("sqlite", True, 1, 1),
            ("postgresql", True, 1, 3),
            ("postgresql", False, 1, 3),
            *(
                pytest.param("postgresql", is_day_over, first_step, 3, marks=pytest.mark.faults)
                for is_day_over in (True, False)
                for first_step in (2, 3)
            ),
        ],
        indirect=["database_url"],
    )
    def test_at_every_step(
        self,
        cleaner: Cleaner,
        connection: Connection,
        folder: Path,
        is_day_over: bool,
        first_step: int,
        stride: int,
    ) -> None:
        """After each kill every row is in the table or in a noted file; in the end, once in a file.

        The first process's records are three pages and two chunks, its occurrences two pages.
        """
        first, second = add_run(connection, ended_days_ago=20, processes=2)
        add_records(connection, first, 140)
        add_records(connection, second, 30)
        if not is_day_over:  # then PostgreSQL deletes chunk by chunk, like SQLite
            (fresh,) = add_run(connection, ended_days_ago=20, state="running", stopped=False)
            add_records(connection, fresh, 5)
        add_signature(connection, "f1", "resolved")
        add_occurrences(connection, first, "f1", [29, *([31] * 21)])
        rows = {kind: stored(connection, kind) for kind in self.KINDS}
        backup = dump(connection)
        for step in range(first_step, 200, stride):
            is_whole = cleaner.clean(killed_after=step)
            for kind in self.KINDS:
                assert rows[kind] == stored(connection, kind) | set(archived(connection, kind)), step
            if is_whole:
                break
            assert cleaner.clean()
            for kind in self.KINDS:
                files, table = archived(connection, kind), stored(connection, kind)
                assert {1} == set(files.values()), step
                assert set() == table & set(files), step
                assert rows[kind] == table | set(files), step
            assert {"done"} == {entry.state for entry in entries(connection)}, step
            restore(connection, folder, backup)
        assert 19 < step < 199


def dump(connection: Connection) -> list[tuple[Table, list[dict[str, Any]]]]:
    """Return the rows of the tables that a cleanup of these kinds changes."""
    with connection.begin():
        return [
            (table, [dict(row) for row in connection.execute(select(table)).mappings()])
            for table in (tables.records, tables.occurrences, tables.archives)
        ]


def restore(connection: Connection, folder: Path, backup: list[tuple[Table, list[dict[str, Any]]]]) -> None:
    """Bring back what `dump` returned, and no file."""
    shutil.rmtree(folder)
    with connection.begin():
        for table, rows in backup:
            connection.execute(delete(table))
            for day in {row["run_day"] for row in rows if "run_day" in row}:
                ensure_partition(connection, day)
            if rows:
                connection.execute(insert(table), rows)
