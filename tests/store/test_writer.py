"""Every batch is stored once, whole or not at all, whatever is repeated, refused or interrupted."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from typing import Any

import psycopg
import pytest
from batches import (
    BEGIN,
    Content,
    Feed,
    expected,
    full,
    lean,
    occurrence,
    open_streams,
    opened_writer,
    stored,
)
from sqlalchemy import select

from streamlab_plugin.store import tables
from streamlab_plugin.store.batch import StreamWrite
from streamlab_plugin.store.engine import open_store
from streamlab_plugin.store.failure import DATABASE_ERRORS
from streamlab_plugin.store.writer import UnknownProcessError, Writer


@pytest.fixture
def writer(database_url: str) -> Iterator[Writer]:
    """Return a writer that knows the processes p-1 and p-2."""
    with closing(opened_writer(database_url, "p-1", "p-2")) as one:
        yield one


def quarantine(url: str) -> dict[int, str]:
    """Return the reasons of the refused rows by their number."""
    with open_store(url, read_only=True).connect() as connection:
        query = select(tables.quarantine.c.seq, tables.quarantine.c.reason)
        return dict(connection.execute(query).tuples().all())


def without(content: Content, process: str) -> Content:
    """Return *content* without what is expected of a process that has no batch yet."""
    content.ledgers.pop(process, None)
    return content


class TestStoring:
    """A batch becomes rows."""

    def test_everything_of_a_batch_is_stored(self, writer: Writer, database_url: str) -> None:
        """Rows of both kinds, rollups of three periods, occurrences, gauges, the ledger."""
        write = Feed().batch(10, dropped={"handover_full": 2}, quarantined=1, evicted=4)
        writer.write([write])
        assert expected([write]) == without(stored(database_url), "p-2")

    def test_batches_add_up(self, writer: Writer, database_url: str) -> None:
        """Of several processes, in one transaction or in several."""
        one, two = Feed("p-1"), Feed("p-2")
        writes = [one.batch(10), two.batch(7), one.batch(5), two.batch(1), one.batch(0)]
        writer.write(writes[:2])
        writer.write(writes[2:])
        assert expected(writes) == stored(database_url)

    def test_a_repeated_batch_is_stored_once(self, writer: Writer, database_url: str) -> None:
        """At once, later, and by another writer."""
        feed = Feed()
        writes = [feed.batch(10), feed.batch(10)]
        writer.write([writes[0], writes[0]])
        writer.write(writes)
        with closing(Writer(open_store(database_url, read_only=False))) as another:
            another.write(writes)
        assert expected(writes) == without(stored(database_url), "p-2")

    def test_a_batch_that_overlaps_what_is_stored_is_skipped_entirely(
        self, writer: Writer, database_url: str
    ) -> None:
        """Nothing is stored twice."""
        feed = Feed()
        first, second = feed.batch(3), feed.batch(3)
        writer.write([first])
        writer.write([replace(second, previous_frame=0)])
        assert expected([first]) == without(stored(database_url), "p-2")

    def test_a_gap_does_not_end_a_stream(self, writer: Writer, database_url: str) -> None:
        """What was lost before it, with a spool say, shows in the ledger; what follows is stored."""
        feed = Feed()
        first, _lost, third = feed.batch(3), feed.batch(3), feed.batch(3)
        writer.write([first, third])
        ledger = stored(database_url).ledgers["p-1"]
        assert (9, 6) == (ledger["produced"], ledger["stored"])

    def test_another_writer_goes_on(self, writer: Writer, database_url: str) -> None:
        """With exact rollups, occurrences and privacy counts in the same second and bucket."""
        feed = Feed()
        writes = [feed.batch(6, BEGIN), feed.batch(6, BEGIN), feed.batch(6, BEGIN + 1)]
        writer.write(writes[:1])
        with closing(Writer(open_store(database_url, read_only=False))) as another:
            another.write(writes[1:2])
        writer.write(writes[2:])  # it was passed by, and must not use what it remembers
        writer.write(writes[2:])
        content = without(stored(database_url), "p-2")
        assert expected(writes) == content
        assert 18 == content.ledgers["p-1"]["privacy"]["kept"]

    def test_records_that_were_erased_before(self, writer: Writer, database_url: str) -> None:
        """They count as stored and as erased, whether batches come one by one or together."""
        feed = Feed()
        writes = [feed.batch(5, erased=2), feed.batch(5), feed.batch(5, erased=1)]
        writer.write(writes[:1])
        writer.write(writes[1:])
        content = stored(database_url)
        assert expected(writes).records == content.records
        assert (18, 3) == (content.ledgers["p-1"]["stored"], content.ledgers["p-1"]["erased"])

    def test_the_end_of_a_stream_is_stored(self, writer: Writer, database_url: str) -> None:
        """State, time and no more users."""
        feed = Feed()
        writes = [feed.batch(3), feed.write(closed_at=BEGIN + 9.5)]
        writer.write(writes)
        assert expected(writes) == without(stored(database_url), "p-2")

    def test_a_process_that_vanished_is_lost_unless_it_had_ended(
        self, writer: Writer, database_url: str
    ) -> None:
        """`mark_lost` changes open streams only."""
        writer.write([Feed("p-1").write(closed_at=float(BEGIN))])
        for process in ("p-1", "p-2"):
            writer.mark_lost(process, BEGIN + 5.0)
        assert ["closed", "lost"] == [stored(database_url).ledgers[name]["state"] for name in ("p-1", "p-2")]

    def test_an_unknown_process_is_an_error_and_nothing_is_stored(
        self, writer: Writer, database_url: str
    ) -> None:
        """Neither of it nor of the others in the transaction."""
        with pytest.raises(UnknownProcessError, match="p-9"):
            writer.write([Feed("p-1").batch(3), Feed("p-9").batch(3)])
        assert [] == stored(database_url).records


class TestSeveralWriters:
    """Two recorders on one PostgreSQL, and one that another has followed."""

    @pytest.mark.parametrize("seed", [1, 2, 3])
    def test_new_names_that_meet_make_no_deadlock_and_no_duplicate(self, postgres: Any, seed: int) -> None:
        """The same series, shapes and errors, in another order, by two recorders at the same moment."""
        from streamlab_plugin.store.migrate import migrate

        url = postgres.create_database()
        migrate(open_store(url, read_only=False))
        writers = [opened_writer(url, f"p-{n}") for n in range(4)]
        writes = [self._many_names(Feed(f"p-{n}"), random.Random(seed * 10 + n)) for n in range(4)]
        run_together([lambda w=w, b=b: w.write([b]) for w, b in zip(writers, writes, strict=True)])
        assert expected(writes) == stored(url)
        for writer in writers:
            writer.close()

    @staticmethod
    def _many_names(feed: Feed, choice: random.Random) -> StreamWrite:
        numbers = list(range(1, 301))
        choice.shuffle(numbers)
        rows = [
            full(
                feed.keys, at, f"/{number}", shape=feed.keys.shape(f'["{number}"]'),
                error=feed.keys.error(f"boom {number}"),
            )
            for at, number in enumerate(numbers, 1)
        ]  # fmt: skip
        return feed.write(rows)

    def test_the_same_stream_written_twice_at_the_same_moment(self, database_url: str) -> None:
        """Two writers race through the same batches; each batch is stored once."""
        open_streams(database_url, "p-1")
        feed = Feed()
        writes = [feed.batch(20) for _ in range(15)]
        copies = [writes, self._again(15)]
        writers = [Writer(open_store(database_url, read_only=False)) for _ in copies]
        run_together(
            [
                lambda w=w, some=some: [w.write([write]) for write in some]
                for w, some in zip(writers, copies, strict=True)
            ]
        )
        assert expected(writes) == stored(database_url)
        for writer in writers:
            writer.close()

    @staticmethod
    def _again(count: int) -> list[StreamWrite]:
        feed = Feed()
        return [feed.batch(20) for _ in range(count)]


def run_together(works: Sequence[Any]) -> None:
    """Run *works* in a thread each, released together; raise what one of them raised."""
    barrier, failures = threading.Barrier(len(works)), []

    def run(work: Any) -> None:
        barrier.wait(10)
        try:
            work()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=run, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    if failures:
        raise failures[0]


POISON = [
    ({"fault": "a\x00b"}, "a NUL byte in a text"),
    ({"fault": "a\ud800b"}, "invalid UTF-8 in a text"),
    ({"stream_seq": 2**63}, "a value that is too large for its column"),
    ({"payload": '["\udfff"]'}, "invalid UTF-8 in a text"),
]


class TestPoison:
    """A row that the database refuses costs only itself."""

    @pytest.mark.parametrize("seed", range(8))
    def test_only_the_refused_rows_are_put_aside(self, writer: Writer, database_url: str, seed: int) -> None:
        """At whatever places among however many; the rest is stored and the ledger balanced."""
        choice = random.Random(seed)
        count = choice.choice((1, 2, 3, 50, 400, 3000))
        bad = {choice.randrange(1, count + 1): choice.choice(POISON) for _ in range(choice.randint(1, 3))}
        if database_url.startswith("sqlite"):
            bad = {
                seq: one if "\x00" not in one[0].get("fault", "") else POISON[1] for seq, one in bad.items()
            }
        feed = Feed()
        write = feed.write([full(feed.keys, seq, **bad.get(seq, ({},))[0]) for seq in range(1, count + 1)])
        writer.write([write])
        content = stored(database_url)
        assert {seq: reason for seq, (_changes, reason) in bad.items()} == quarantine(database_url)
        assert [seq for seq in range(1, count + 1) if seq not in bad] == [row[1] for row in content.records]
        ledger = content.ledgers["p-1"]
        assert (count, count - len(bad), len(bad)) == (
            ledger["produced"], ledger["stored"], ledger["quarantined"],
        )  # fmt: skip
        whole = expected([write])
        assert (whole.rollups, whole.gauges) == (content.rollups, content.gauges)

    def test_a_number_that_is_there_already_is_put_aside(self, writer: Writer, database_url: str) -> None:
        """In the same batch or in an earlier one."""
        feed = Feed()
        rows = [lean(feed.keys, seq) for seq in (1, 2, 2, 3)]
        writer.write([feed.write([], rows)])
        writer.write([feed.write([], [lean(feed.keys, seq) for seq in (3, 4)])])
        content = stored(database_url)
        assert [1, 2, 3, 4] == [row[1] for row in content.records]
        assert (4, 2) == (content.ledgers["p-1"]["stored"], content.ledgers["p-1"]["quarantined"])

    def test_the_other_streams_of_the_transaction_are_stored(self, writer: Writer, database_url: str) -> None:
        """As if nothing had happened."""
        bad, good = Feed("p-1"), Feed("p-2")
        writes = [bad.write([full(bad.keys, 1, stream_seq=2**63)]), good.batch(9)]
        writer.write(writes)
        content = stored(database_url)
        assert expected(writes[1:]).records == content.records
        assert expected(writes[1:]).ledgers["p-2"] == content.ledgers["p-2"]

    @pytest.mark.parametrize("status", [2**31, 2**40])
    def test_a_status_beyond_the_column_is_never_stored_as_another(
        self, writer: Writer, database_url: str, status: int
    ) -> None:
        """It is kept as it is or put aside."""
        feed = Feed()
        writer.write([feed.write([full(feed.keys, 1, status=status)], [lean(feed.keys, 2, status=status)])])
        found = {row[11] for row in stored(database_url).records}
        assert found <= {status}
        assert 2 == len(stored(database_url).records) + len(quarantine(database_url))

    def test_a_row_whose_own_number_is_refused(self, writer: Writer, database_url: str) -> None:
        """It is counted all the same, and the others are stored."""
        feed = Feed()
        rows = [lean(feed.keys, seq) for seq in (1, 2**63, 2)]
        writer.write([feed.write([], rows)])
        content = stored(database_url)
        assert [1, 2] == [row[1] for row in content.records]
        assert (2, 1) == (content.ledgers["p-1"]["stored"], content.ledgers["p-1"]["quarantined"])

    def test_a_refused_occurrence_does_not_stop_the_stream(self, writer: Writer, database_url: str) -> None:
        """The totals are stored, the batch's records counted as put aside, and the next batch is normal."""
        feed = Feed()
        message = "\ud800"
        bad = feed.batch(9, occurrences=[occurrence(BEGIN, 1, message)])
        good = feed.batch(9)
        writer.write([bad])
        writer.write([good])
        content = stored(database_url)
        ledger = content.ledgers["p-1"]
        assert (2, 18, 9, 9) == (
            ledger["last_frame"], ledger["produced"], ledger["stored"], ledger["quarantined"],
        )  # fmt: skip
        assert 9 == len(content.records)

    def test_a_shape_with_very_many_keys_is_stored(self, writer: Writer, database_url: str) -> None:
        """PostgreSQL indexes at most 2.7 kB of a row; a payload may have 2,000 keys."""
        choice = random.Random(1)
        names = ",".join(f'"{choice.getrandbits(96):x}"' for _ in range(1000))
        feed = Feed()
        write = feed.write([], [lean(feed.keys, 1, shape=feed.keys.shape(f"[{names}]"))])
        writer.write([write])
        assert expected([write]) == without(stored(database_url), "p-2")

    @pytest.mark.parametrize("kind", ["series", "errors"])
    def test_long_names_in_any_script_are_stored(self, writer: Writer, database_url: str, kind: str) -> None:
        """Cut at a length that the database takes, also where a character has four bytes."""
        choice = random.Random(2)
        feed = Feed()
        long = ["".join(chr(choice.randrange(0x20000, 0x2A000)) for _ in range(600)) for _ in range(5)]
        key = feed.keys._key(kind, *(long if kind == "series" else long[:2]))
        changes = {"series": key} if kind == "series" else {"error": key}
        writer.write([feed.write([full(feed.keys, 1, **changes)])])
        assert [1] == [row[1] for row in stored(database_url).records]


class TestInterruption:
    """A transaction that breaks off leaves nothing, neither in the database nor in memory."""

    @pytest.mark.parametrize("place", ["records", "rollups", "occurrences", "gauges"])
    def test_nothing_is_left_and_the_same_batch_is_stored_afterwards(
        self, database_url: str, place: str
    ) -> None:
        """Wherever it breaks off; rollups are exact, and the names that were registered stay valid."""
        feed = Feed()
        writes = [feed.batch(9, BEGIN), feed.batch(9, BEGIN)]
        writer = opened_writer(database_url, "p-1")
        writer.write(writes[:1])
        with failing(writer, place), pytest.raises(DATABASE_ERRORS):
            writer.write(writes[1:])
        if writer.connection.dialect.name == "postgresql":
            writer.abandon()
            writer = Writer(open_store(database_url, read_only=False))
        with closing(writer):
            assert expected(writes[:1]) == stored(database_url)
            writer.write(writes)
            assert expected(writes) == stored(database_url)

    def test_a_full_disk_costs_nothing_once_there_is_room(self, tmp_path: Any) -> None:
        """SQLite rolls back by itself; the writer's connection stays in use."""
        from streamlab_plugin.store.migrate import migrate

        url = f"sqlite:///{tmp_path / 'full.db'}"
        migrate(open_store(url, read_only=False))
        feed = Feed()
        with closing(opened_writer(url, "p-1")) as writer:
            driver: Any = writer.connection.connection.driver_connection
            writes = [feed.batch(100)]
            writer.write(writes)
            pages = driver.execute("PRAGMA page_count").fetchone()[0]
            driver.execute(f"PRAGMA max_page_count = {pages}").fetchall()
            write = feed.batch(3000)
            with pytest.raises(DATABASE_ERRORS, match="full"):
                writer.write([write])
            driver.execute("PRAGMA max_page_count = 1000000").fetchall()
            assert expected(writes) == stored(url)
            writer.write([write])
        assert expected([*writes, write]) == stored(url)


@contextmanager
def failing(writer: Writer, place: str) -> Iterator[None]:
    """Break the transaction off behind one step: the server ends the session, or SQLite is interrupted."""
    bulk = writer._bulk
    step = getattr(bulk, place)
    driver: Any = writer.connection.connection.driver_connection

    def broken(*arguments: Any) -> None:
        step(*arguments)
        if isinstance(driver, psycopg.Connection):
            with psycopg.connect(driver.info.dsn, autocommit=True) as other:
                other.execute("SELECT pg_terminate_backend(%s)", (driver.info.backend_pid,))
            driver.execute("SELECT 1")
        else:
            driver.set_progress_handler(lambda: 1, 1)
            try:
                driver.execute("SELECT count(*) FROM records").fetchall()
            finally:
                driver.set_progress_handler(None, 1)

    setattr(bulk, place, broken)
    try:
        yield
    finally:
        delattr(bulk, place)


@pytest.mark.parametrize("stored_before", range(5))
def test_several_batches_of_a_stream_at_once(database_url: str, stored_before: int) -> None:
    """Whatever part of them is stored already, each is stored once."""
    with closing(opened_writer(database_url, "p-1", "p-2")) as writer:
        feeds = Feed("p-1"), Feed("p-2")
        writes = [feed.batch(7, BEGIN, quarantined=1, evicted=2) for _ in range(4) for feed in feeds]
        for write in writes[: 2 * stored_before]:
            writer.write([write])
        writer.write(writes)
    assert expected(writes) == stored(database_url)
