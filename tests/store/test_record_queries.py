"""Single records are found exactly as a full scan would find them, without reading everything."""

from __future__ import annotations

import random
from collections.abc import Iterator
from fnmatch import fnmatchcase
from itertools import islice
from typing import Any

import pytest
from recorded import BEGAN, RUN, SECONDS, add_run, payload_of
from sqlalchemy import Connection, Engine, delete, event, text, update

from streamlab_plugin.store import tables
from streamlab_plugin.store.engine import open_store
from streamlab_plugin.store.migrate import migrate
from streamlab_plugin.store.queries import find_run
from streamlab_plugin.store.record_queries import RecordFilter, added, find_records, newest
from streamlab_plugin.store.record_rows import Record

FILTERS = [
    RecordFilter(),
    RecordFilter(protocol="http"),
    RecordFilter(protocol="http", operation="GET"),
    RecordFilter(endpoint="/api/*"),
    RecordFilter(endpoint="nothing/*"),
    RecordFilter(user_class="Even", outcome="success"),
    RecordFilter(outcome="timeout"),
    RecordFilter(outcome="error"),
    RecordFilter(outcome="interrupted", protocol="mqtt"),
    RecordFilter(error="SERVER error"),
    RecordFilter(error="no such text"),
    RecordFilter(status=201, protocol="websocket"),
    RecordFilter(finding="slow_http"),
    RecordFilter(finding="slow"),
    RecordFilter(min_latency_ms=400.0),
    RecordFilter(since=BEGAN + 30.5, until=BEGAN + 31.25),
    RecordFilter(since=BEGAN + 100.0, until=BEGAN + 300.0, outcome="error"),
    RecordFilter(until=BEGAN + 5.0),
    RecordFilter(since=BEGAN + SECONDS + 0.0),
    RecordFilter(since=BEGAN + 20.0, until=BEGAN + 10.0),
]


class Recorded:
    """A database with one run, and all its records as the view gives them."""

    def __init__(self, url: str) -> None:
        self.engine = open_store(url, read_only=True)
        self.url = url
        with self.engine.connect() as conn:
            rows = [dict(row._mapping) for row in conn.execute(text("SELECT * FROM records_flat"))]
        self.rows = sorted(rows, key=age, reverse=True)

    def writing(self) -> Engine:
        """Return an engine to change the database with."""
        return open_store(self.url, read_only=False)


def age(row: dict[str, Any]) -> tuple[float, str, int]:
    """Return what the order of records is by."""
    return row["started_at"] + (row["latency_ms"] or 0.0) / 1000.0, row["process"], row["seq"]


def meets(row: dict[str, Any], wanted: RecordFilter) -> bool:
    """Whether a row of the view meets a filter: its meaning, column by column."""
    ended_at = age(row)[0]
    plain = ("protocol", "operation", "user_class", "outcome", "status")
    return (
        all(getattr(wanted, name) in (None, row[name]) for name in plain)
        and (wanted.endpoint is None or fnmatchcase(row["endpoint"], wanted.endpoint))
        and (
            wanted.error is None
            or (
                row["error_type"] is not None
                and wanted.error.lower() in f"{row['error_type']}: {row['error_message']}".lower()
            )
        )
        and (wanted.finding is None or wanted.finding in (row["findings"] or "").split(","))
        and (wanted.since is None or ended_at >= wanted.since)
        and (wanted.until is None or ended_at < wanted.until)
        and (wanted.min_latency_ms is None or (row["latency_ms"] or -1.0) >= wanted.min_latency_ms)
    )


def names(records: Any) -> list[tuple[str, int]]:
    """Return (process, number) of records or rows."""
    return [
        (one.process, one.seq) if isinstance(one, Record) else (one["process"], one["seq"]) for one in records
    ]


def found(recorded: Recorded, wanted: RecordFilter, limit: int | None = None) -> list[Record]:
    """Return what `find_records` finds."""
    with recorded.engine.connect() as conn:
        return list(find_records(conn, find_run(conn, RUN), wanted, limit))


def expected(recorded: Recorded, wanted: RecordFilter) -> list[dict[str, Any]]:
    """Return what a full scan finds, newest first."""
    return [row for row in recorded.rows if meets(row, wanted)]


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def recorded(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Recorded:
    """A run of 15 minutes from two processes; read only."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path_factory.mktemp('recorded') / 'streamlab.db'}"
    else:
        url = request.getfixturevalue("postgres").create_database()
    engine = open_store(url, read_only=False)
    migrate(engine)
    with engine.begin() as conn:
        add_run(conn)
    return Recorded(url)


@pytest.fixture
def own_recorded(database_url: str) -> Recorded:
    """A shorter run that a test may change."""
    with open_store(database_url, read_only=False).begin() as conn:
        add_run(conn, rate=2.0, seed=2)
    return Recorded(database_url)


class TestFindRecords:
    @pytest.mark.parametrize(
        "wanted", [*FILTERS[:5], *(pytest.param(one, marks=pytest.mark.faults) for one in FILTERS[5:])]
    )
    def test_as_a_full_scan(self, recorded: Recorded, wanted: RecordFilter) -> None:
        """The same records in the same order, also those that were reported long after their end."""
        assert names(expected(recorded, wanted)) == names(found(recorded, wanted))

    @pytest.mark.parametrize(
        "seed", [*range(4), *(pytest.param(n, marks=pytest.mark.faults) for n in range(4, 20))]
    )
    def test_random_filters(self, recorded: Recorded, seed: int) -> None:
        """Any combination of filters finds what a full scan finds; a limit takes the newest of them."""
        rng = random.Random(seed)
        since = BEGAN + rng.uniform(-10, SECONDS)
        wanted = RecordFilter(
            protocol=rng.choice([None, "http", "mqtt"]),
            endpoint=rng.choice([None, None, "*sync*", "/api/items/{id}"]),
            outcome=rng.choice([None, "success", "error", "timeout"]),
            error=rng.choice([None, None, "e"]),
            finding=rng.choice([None, None, "http_5xx"]),
            since=rng.choice([None, since]),
            until=rng.choice([None, since + rng.uniform(0, 400)]),
            min_latency_ms=rng.choice([None, None, 100.0]),
        )
        assert names(expected(recorded, wanted)) == names(found(recorded, wanted)), wanted
        assert names(expected(recorded, wanted)[:7]) == names(found(recorded, wanted, 7)), wanted

    def test_every_column(self, recorded: Recorded) -> None:
        """A record has the columns and values of the view, the payload as JSON."""
        row = next(row for row in recorded.rows if row["payload"] and row["outcome"] == "error")
        (record,) = [
            one for one in found(recorded, RecordFilter(outcome="error")) if names([one]) == names([row])
        ]
        values = record._asdict()
        assert list(row) == list(values)
        assert payload_of(row.pop("payload")) == payload_of(values.pop("payload")) == {"a": 1, "b": "x"}
        assert row == values

    def test_limit_reads_little(self, recorded: Recorded) -> None:
        """The newest failures are found without going through the run."""
        statements: list[str] = []

        def note(_conn: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
            if "FROM records" in statement:
                statements.append(statement)

        event.listen(recorded.engine, "before_cursor_execute", note)
        try:
            assert len(found(recorded, RecordFilter(error="e"), 3)) == 3
        finally:
            event.remove(recorded.engine, "before_cursor_execute", note)
        assert 0 < len(statements) < 60

    @pytest.mark.parametrize("periods", [(1,), (1, 60), (1, 60, 3600)])
    def test_without_rollups(self, own_recorded: Recorded, periods: tuple[int, ...]) -> None:
        """Rollups that were removed make it slower, not wrong."""
        with own_recorded.writing().begin() as conn:
            conn.execute(delete(tables.rollups).where(tables.rollups.c.period_s.in_(periods)))
        for wanted in FILTERS:
            seen = sorted(names(found(own_recorded, wanted)))
            assert sorted(names(expected(own_recorded, wanted))) == seen, wanted

    def test_removed_seconds(self, own_recorded: Recorded) -> None:
        """Where the first part of the seconds is gone, minutes stand in for them."""
        rollups = tables.rollups.c
        with own_recorded.writing().begin() as conn:
            conn.execute(delete(tables.rollups).where(rollups.period_s == 1, rollups.start < BEGAN + 333))
        wanted = RecordFilter(outcome="error")
        assert names(expected(own_recorded, wanted)) == names(found(own_recorded, wanted))

    def test_evicted_records(self, own_recorded: Recorded) -> None:
        """Records that had to go after roll-up leave a gap; the others are found."""
        records = tables.records.c
        with own_recorded.writing().begin() as conn:
            gone = conn.execute(delete(tables.records).where(records.seq > 200, records.seq < 900)).rowcount
            conn.execute(update(tables.processes).values(evicted=gone // 2))
        rest = Recorded(own_recorded.url)
        wanted = RecordFilter(protocol="http")
        seen = names(found(rest, wanted))
        assert [one for one in names(expected(rest, wanted)) if one in set(seen)] == seen
        assert len(seen) > 0.98 * len(expected(rest, wanted))

    def test_no_records(self, database_url: str) -> None:
        """A run without any record has none to find."""
        with open_store(database_url, read_only=False).begin() as conn:
            add_run(conn)
            conn.execute(delete(tables.records))
        assert found(Recorded(database_url), RecordFilter()) == []


class TestNewest:
    @pytest.fixture
    def conn(self, recorded: Recorded) -> Iterator[Connection]:
        with recorded.engine.connect() as connection:
            yield connection

    def test_over_processes(self, recorded: Recorded, conn: Connection) -> None:
        """The highest numbers of each process, by the time they ended."""
        seen = newest(conn, 1, 20)
        assert seen == sorted(seen, key=lambda one: one.ended_at, reverse=True)
        assert {one.process for one in seen} == {row["process"] for row in recorded.rows}
        assert len(set(names(seen)) & set(names(recorded.rows[:25]))) > 15

    def test_of_any_run(self, conn: Connection) -> None:
        """Without a run it is the latest one."""
        assert newest(conn, 1, 5) == newest(conn, None, 5)

    def test_added(self, recorded: Recorded, conn: Connection) -> None:
        """What came after a number is read upwards, all of it and once."""
        first, second = sorted({row["process"] for row in recorded.rows})
        highest = max(row["seq"] for row in recorded.rows if row["process"] == first)
        seen = names(added(conn, 1, {first: highest - 3}))
        assert [(first, highest)] == [one for one in seen if one[0] == first][-1:]
        assert sum(row["process"] == second for row in recorded.rows) == sum(one[0] == second for one in seen)
        assert seen == sorted(set(seen))
        assert len(list(islice(added(conn, 1, {}), 5))) == 5
