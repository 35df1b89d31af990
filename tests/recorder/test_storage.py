"""Whatever becomes of the database, batches are durable at once and stored exactly once, in order."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from batches import BEGIN, Feed, expected, lean, open_streams, stored
from postgres import PostgresServer
from proxy import Proxy
from sqlalchemy import select, text

from streamlab_plugin.link.message import OpenProcess, OpenRun, StopRun
from streamlab_plugin.link.server import Server
from streamlab_plugin.recorder.loop import Recorder
from streamlab_plugin.recorder.storage import NotYetError, ReplacedError, Storage
from streamlab_plugin.store import run_writer, tables
from streamlab_plugin.store.batch import StreamWrite
from streamlab_plugin.store.engine import PATIENCE_S, open_store
from streamlab_plugin.store.migrate import migrate
from streamlab_plugin.store.spool import Spool
from streamlab_plugin.store.writer import Writer

DEADLINE_S = 30.0
# What a test may wait for the database in one call; the time itself is no subject here, the bound is.
KEEP_LIMIT_S = PATIENCE_S + 1.0


@pytest.fixture
def healthy(postgres: PostgresServer) -> Iterator[PostgresServer]:
    """Return the server, which is well again afterwards."""
    yield postgres
    postgres.thaw()
    if not postgres.is_running:
        postgres.start()


@pytest.fixture
def url(healthy: PostgresServer) -> str:
    """Return an empty database on it."""
    made = healthy.create_database()
    migrate(open_store(made, read_only=False))
    return made


class Line:
    """A storage that is fed, and what it was fed with."""

    def __init__(self, url: str, folder: Path) -> None:
        self.notices: list[str] = []
        self.storage = Storage(url, Spool(folder / "x.spool"), self.notices.append)
        self.feeds = [Feed("p-1"), Feed("p-2")]
        self.kept: list[StreamWrite] = []

    def keep(self, count: int = 1) -> None:
        """Hand on some batches of both processes; each call must be quick and succeed."""
        for _ in range(count):
            writes = [feed.batch(7, BEGIN + len(self.kept) // 8) for feed in self.feeds]
            began = time.monotonic()
            assert self.storage.keep(writes)
            assert time.monotonic() - began < KEEP_LIMIT_S
            self.kept += writes

    def drain(self) -> None:
        """Let the storage replay until nothing waits."""
        until(lambda: (self.storage.replay(), self.storage.is_drained)[1])


def until(condition: Callable[[], Any]) -> None:
    """Wait for *condition*, bounded."""
    give_up = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < give_up, "waited in vain"
        time.sleep(0.01)


@contextmanager
def line(url: str, folder: Path) -> Iterator[Line]:
    """Return a line whose processes are open."""
    open_streams(url, "p-1", "p-2")
    one = Line(url, folder)
    one.storage.open()
    with closing(one.storage):
        yield one


def breaking(server: PostgresServer, how: str) -> tuple[Callable[[], None], Callable[[], None]]:
    """Return how a server is taken away and brought back."""
    return {
        "stopped": (server.stop, server.start),
        "killed": (server.kill, server.start),
        "frozen": (server.freeze, server.thaw),
    }[how]


class TestReplaced:
    """Another database in the place of the one that was opened."""

    def test_a_file_that_was_removed(self, tmp_path: Path) -> None:
        """SQLite itself would go on with it, and nothing would remain."""
        url = f"sqlite:///{tmp_path / 'streamlab.db'}"
        migrate(open_store(url, read_only=False))
        with line(url, tmp_path) as one:
            one.keep(2)
            for path in tmp_path.glob("streamlab.db*"):
                path.unlink()
            with pytest.raises(ReplacedError, match=r"streamlab\.db was removed or replaced"):
                until(lambda: (time.sleep(0.1), one.keep())[1])

    def test_a_server_that_came_back_empty(self, healthy: PostgresServer, url: str, tmp_path: Path) -> None:
        """It must be told everything again, beginning with its schema."""
        with line(url, tmp_path) as one:
            one.keep(2)
            name = url.rpartition("/")[2]
            healthy.drop_database(name)
            one.keep(2)
            healthy.create_database(name)
            with pytest.raises(ReplacedError, match="came back empty"):
                until(one.storage.replay)


class TestMistakeOfOurs:
    """A batch on which our own code fails, each time."""

    @pytest.fixture(autouse=True)
    def failing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Let the writer fail with whatever has records of p-1."""
        store = Writer._store

        def fail(writer: Writer, write: StreamWrite, insert: Any) -> bool:
            if write.process == "p-1" and write.records:
                raise RuntimeError("a mistake")
            return store(writer, write, insert)

        monkeypatch.setattr(Writer, "_store", fail)

    def test_it_does_not_hold_up_the_spool(self, healthy: PostgresServer, url: str, tmp_path: Path) -> None:
        """Its totals are stored in the end, its records counted as quarantined; all others are stored."""
        with line(url, tmp_path) as one:
            healthy.stop()
            one.keep(2)
            healthy.start()

            def replayed() -> bool:
                with contextlib.suppress(RuntimeError):
                    one.storage.replay()
                return one.storage.is_drained

            until(replayed)
            assert 14 == expected(one.kept).ledgers["p-2"]["stored"]
            self.check(url, one.kept)

    def test_it_does_not_hold_up_the_other_processes(self, url: str, tmp_path: Path) -> None:
        """Each turn stores theirs."""
        open_streams(url, "p-1", "p-2")
        server = Server(tmp_path / "s.sock")
        recorder = Recorder(server, url, tmp_path / "key", Spool(tmp_path / "x.spool"))
        recorder._storage.open()
        feeds = [Feed("p-1"), Feed("p-2")]
        kept = [feed.batch(7) for _ in range(2) for feed in feeds]
        recorder._pending += kept
        for _ in range(3):
            recorder._write()
        assert ["p-1", "p-1"] == [write.process for write in recorder._pending]
        until(lambda: (recorder._write(), not recorder._pending)[1])
        self.check(url, kept)

    def check(self, url: str, kept: list[StreamWrite]) -> None:
        """Compare with what a writer without that mistake would have stored."""
        found, want = stored(url), expected(kept)
        assert want.ledgers["p-2"]["stored"] == found.ledgers["p-2"]["stored"]
        assert [one for one in want.records if one[0] == "p-2"] == found.records
        ledger = found.ledgers["p-1"]
        assert (0, 14, 14) == (ledger["stored"], ledger["quarantined"], ledger["produced"])


class TestOutage:
    """PostgreSQL goes and comes back."""

    @pytest.mark.parametrize("how", ["stopped", "killed", "frozen"])
    def test_nothing_is_lost_or_stored_twice(
        self, healthy: PostgresServer, url: str, tmp_path: Path, how: str
    ) -> None:
        """Order, rollups and ledger are those of an undisturbed database; everybody is told twice."""
        away, back = breaking(healthy, how)
        with line(url, tmp_path) as one:
            one.keep(5)
            away()
            one.keep(5)
            one.storage.replay()
            one.keep(5)
            assert not one.storage.is_drained
            back()
            one.storage.replay()
            one.keep(2)
            one.drain()
            one.keep(2)
            assert expected(one.kept) == stored(url)
            assert 2 == len(one.notices)
            assert "does not answer" in one.notices[0]
            assert "is back" in one.notices[1]

    def test_a_network_that_is_cut(self, postgres: PostgresServer, url: str, tmp_path: Path) -> None:
        """Several times, also in the middle of replaying."""
        with Proxy(postgres.port) as proxy:
            through = url.replace(f":{postgres.port}/", f":{proxy.port}/")
            with line(through, tmp_path) as one:
                for _ in range(3):
                    one.keep(3)
                    proxy.cut()
                    one.keep(10)
                    proxy.restore()
                    until(lambda: (one.storage.replay(), one.storage.is_up)[1])
                one.drain()
                assert expected(one.kept) == stored(url)

    def test_a_network_that_falls_silent(self, postgres: PostgresServer, url: str, tmp_path: Path) -> None:
        """What was on its way may arrive after it was given up, and is stored once all the same."""
        with Proxy(postgres.port) as proxy:
            through = url.replace(f":{postgres.port}/", f":{proxy.port}/")
            with line(through, tmp_path) as one:
                one.keep(3)
                proxy.hold()
                one.keep(3)
                proxy.release()
                one.drain()
                one.keep(1)
                assert expected(one.kept) == stored(url)

    def test_a_slow_database_holds_nobody_up(
        self, postgres: PostgresServer, url: str, tmp_path: Path
    ) -> None:
        """After a write that took long, the next one goes to the spool."""
        with Proxy(postgres.port) as proxy:
            through = url.replace(f":{postgres.port}/", f":{proxy.port}/")
            with line(through, tmp_path) as one:
                proxy.delay_s = 0.025
                one.keep(1)
                one.storage.replay()
                assert one.storage.spool.is_empty
                one.keep(1)
                assert not one.storage.spool.is_empty
                proxy.delay_s = 0.0
                one.drain()
                one.keep(1)
                assert one.storage.spool.is_empty
                assert expected(one.kept) == stored(url)

    @pytest.mark.faults
    def test_a_large_batch_gets_into_a_slow_database(self, url: str, tmp_path: Path) -> None:
        """Though it takes longer than the patience with any one answer."""
        with line(url, tmp_path) as one:
            with open_store(url, read_only=False).begin() as connection:
                for statement in SLOW_RECORDS:
                    connection.execute(text(statement))
            feed = one.feeds[0]
            write = feed.write([], [lean(feed.keys, seq) for seq in range(1, 16_001)])
            assert one.storage.keep([write])
            one.drain()
            assert expected([write]).records == stored(url).records


# 5,000 records take more than a second, 16,000 more than four.
SLOW_RECORDS = (
    "CREATE FUNCTION dawdle() RETURNS trigger LANGUAGE plpgsql"
    " AS $$ BEGIN IF NEW.seq % 20 = 0 THEN PERFORM pg_sleep(0.005); END IF; RETURN NEW; END $$",
    "CREATE TRIGGER dawdle BEFORE INSERT ON records FOR EACH ROW EXECUTE FUNCTION dawdle()",
)


class TestDisk:
    """Neither database nor spool takes anything."""

    def test_the_caller_keeps_it_and_tries_again(self, database_url: str, tmp_path: Path) -> None:
        """False, and nothing is kept; later it is stored once."""
        with line(database_url, tmp_path) as one:
            one.storage.failed(OSError("away"))
            spool = one.storage.spool
            spool.path.mkdir()
            write = one.feeds[0].batch(3)
            assert not one.storage.keep([write])
            assert not one.storage.keep([write])
            spool.path.rmdir()
            assert one.storage.keep([write])
            one.drain()
            assert expected([write]).records == stored(database_url).records

    def test_an_error_of_the_spool_is_not_the_databases(self, database_url: str, tmp_path: Path) -> None:
        """The open connection is kept, and replaying resumes when the spool can be used again."""
        with line(database_url, tmp_path) as one:
            one.storage.failed(OSError("away"))
            one.keep(2)
            until(lambda: (one.storage.replay(), one.storage.is_up)[1])
            one.storage.spool.append([one.feeds[0].batch(1)])
            one.storage.spool.close()
            hidden = one.storage.spool.path.rename(tmp_path / "hidden")
            one.storage.spool.path.mkdir()
            for _ in range(3):
                one.storage._replayed_at = 0.0
                one.storage.replay()
            assert one.storage.is_up
            one.storage.spool.path.rmdir()
            hidden.rename(one.storage.spool.path)
            one.drain()
            assert 29 == len(stored(database_url).records)


def opening(run: str = "run-9", process: str = "p-9", **changes: Any) -> tuple[OpenRun, OpenProcess]:
    """Return the words that begin a run."""
    return (
        OpenRun(run, "test", float(BEGIN), "http://t", "t.py", 0, b"{}", {}),
        OpenProcess(run, process, "standalone", 1, float(BEGIN), **changes),
    )


def run_states(url: str) -> list[tuple[Any, ...]]:
    """Return what is stored of runs and processes."""
    runs, processes = tables.runs.c, tables.processes.c
    query = select(runs.run, runs.state, runs.stopped_at, processes.process, processes.state).join_from(
        tables.runs, tables.processes, runs.id == processes.run_id
    )
    with open_store(url, read_only=True).connect() as connection:
        return [tuple(row) for row in connection.execute(query.order_by(processes.process))]


class TestWords:
    """What is said about runs and processes while the database is away."""

    def test_a_run_that_begins_and_ends_in_the_meantime_is_stored(
        self, database_url: str, tmp_path: Path
    ) -> None:
        """Opening, records, loss and end, in this order; who waits for the opening is told."""
        with closing(Line(database_url, tmp_path).storage) as storage:
            storage.failed(OSError("away"))
            run, process = opening()
            assert not storage.open_run(run, "key")
            found = storage.find_run("run-9")
            assert found is not None
            assert ("run-9", "key") == (found.run, found.key_id)
            row, is_certain = storage.open_process(process)
            assert (0, True) == (row.last_frame, is_certain)
            storage.open_process(opening(process="p-8")[1])
            feed = Feed("p-9")
            writes = [feed.batch(5), feed.write(closed_at=BEGIN + 2.0)]
            assert storage.keep(writes)
            storage.mark_lost("p-8", BEGIN + 1.0)
            storage.stop_run(StopRun("run-9", BEGIN + 3.0, 0))
            until(lambda: (storage.replay(), storage.is_drained)[1])
            assert ["run-9"] == storage.opened_runs
        assert [
            ("run-9", "running", BEGIN + 3.0, "p-8", "lost"),
            ("run-9", "running", BEGIN + 3.0, "p-9", "closed"),
        ] == run_states(database_url)
        assert expected(writes).records == stored(database_url).records

    def test_an_end_is_not_stored_before_what_came_before(self, database_url: str, tmp_path: Path) -> None:
        """It waits behind the batches, even when the database is there again."""
        with line(database_url, tmp_path) as one:
            one.storage.spool.append([one.feeds[0].batch(3)])
            one.storage.mark_lost("p-1", BEGIN + 9.0)
            assert "open" == stored(database_url).ledgers["p-1"]["state"]
            one.drain()
            assert "lost" == stored(database_url).ledgers["p-1"]["state"]

    def test_a_stream_goes_on_behind_what_waits_for_it(self, database_url: str, tmp_path: Path) -> None:
        """A process that comes again learns how far the spool has it; without that, what it says itself."""
        with line(database_url, tmp_path) as one:
            one.keep(2)
            one.storage.spool.append([one.feeds[0].batch(3)])
            one.feeds[1].batch(3)
            word = opening("run-1", "p-1", is_retold=True, acknowledged=1)[1]
            row, is_certain = one.storage.open_process(word)
            assert (3, 17, True) == (row.last_frame, row.produced, is_certain)
            row, is_certain = one.storage.open_process(opening("run-1", "p-2")[1])
            assert (2, True) == (row.last_frame, is_certain)
            one.storage.failed(OSError("away"))
            word = opening("run-1", "p-2", is_retold=True, acknowledged=1)[1]
            row, is_certain = one.storage.open_process(word)
            assert (1, False) == (row.last_frame, is_certain)

    def test_a_run_of_another_host_waits_for_the_database(self, database_url: str, tmp_path: Path) -> None:
        """Only the database knows it."""
        open_streams(database_url, "p-1")
        with closing(Line(database_url, tmp_path).storage) as storage:
            storage.failed(OSError("away"))
            with pytest.raises(NotYetError):
                storage.find_run("run-1")
            until(lambda: (storage.replay(), storage.is_up)[1])
            assert storage.find_run("run-1") is not None
            assert storage.find_run("run-2") is None

    def test_what_another_database_left_behind_is_put_aside(self, database_url: str, tmp_path: Path) -> None:
        """A database that was made anew: the old run's batches go to a file, the new run's are stored."""
        with closing(Line(database_url, tmp_path).storage) as storage:
            storage.failed(OSError("away"))
            storage.open_process(opening("gone", "p-old")[1])
            storage.keep([Feed("p-old").batch(5)])
            storage.open_run(opening()[0], "key")
            storage.open_process(opening()[1])
            feed = Feed("p-9")
            writes = [feed.batch(5), feed.batch(5)]
            storage.keep(writes[:1])
            until(lambda: (storage.replay(), storage.is_drained)[1])
            storage.keep(writes[1:])
        assert expected(writes) == stored(database_url)
        assert [5] == [
            write.records for path in tmp_path.glob("x.spool.*") for _number, write in Spool(path).oldest(99)
        ]

    def test_a_stop_that_is_replayed_keeps_the_expected_workers(
        self, database_url: str, tmp_path: Path
    ) -> None:
        """Without them no verdict would miss a worker."""
        with line(database_url, tmp_path) as one:
            one.storage.failed(OSError("away"))
            one.storage.stop_run(StopRun("run-1", BEGIN + 3.0, 4))
            one.drain()
            connection = one.storage.open().connection
            key = run_writer.run_key(connection, "run-1")
            with connection.begin():
                found = connection.execute(
                    select(tables.runs.c.stopped_at, tables.runs.c.expected_workers).where(
                        tables.runs.c.id == key
                    )
                ).one()
            assert (BEGIN + 3.0, 4) == tuple(found)
