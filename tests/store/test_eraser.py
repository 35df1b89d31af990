"""One of ten subjects is erased wherever records can be, and whatever interrupts it, the end is the same."""

from __future__ import annotations

import gzip
import json
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from postgres import PostgresServer
from sqlalchemy import text
from subjects import World, build, copied, is_named, pseudonym, pseudonyms

from streamlab_plugin.privacy.subject import Subject
from streamlab_plugin.store import erasure, erasure_tally
from streamlab_plugin.store.archive import verify
from streamlab_plugin.store.engine import open_store
from streamlab_plugin.store.eraser import erase
from streamlab_plugin.store.health_queries import run_problems
from streamlab_plugin.store.migrate import migrate
from streamlab_plugin.store.queries import find_run, run_ledger
from streamlab_plugin.store.spool import Spool
from streamlab_plugin.store.writer import Writer

NOW = 1_800_000_000.0
STEP_LIMIT = 1_000
# Of the hundred records of a subject sixty are archived, twenty are in the table alone and twenty wait. Of
# those that are archived some are in the table, too: on SQLite twenty; on PostgreSQL, where a day goes as a
# whole, all.
ARCHIVED, SPOOLED = 60, 20


# What the two engines do differently runs on both each time, the rest on PostgreSQL by `make faults`.
ON_BOTH = pytest.mark.parametrize("world", ["sqlite", "postgresql"], indirect=True)


@pytest.fixture(scope="module", params=("sqlite", pytest.param("postgresql", marks=pytest.mark.faults)))
def world(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> World:
    """A thousand records in archives, database and spool, once on each engine; read only."""
    folder = tmp_path_factory.mktemp("world")
    url = f"sqlite:///{folder / 'world.db'}"
    if request.param == "postgresql":
        server: PostgresServer = request.getfixturevalue("postgres")
        url = server.create_database()
    migrate(open_store(url, read_only=False))
    return build(url, folder / "archive", folder / "x.spool")


class Copies:
    """Makes copies of the world, each for a test to change."""

    def __init__(self, world: World, folder: Path, server: PostgresServer | None) -> None:
        self._world, self._folder, self._server = world, folder, server
        self._made: list[str] = []

    def one(self) -> World:
        """Return another copy."""
        number = len(self._made)
        if self._server is None:
            url = f"sqlite:///{self._folder / f'{number}.db'}"
        else:
            url = self._server.create_database(template=self._world.url.rpartition("/")[2])
        self._made.append(url)
        return copied(self._world, url, self._folder / str(number))

    def close(self) -> None:
        """Drop the databases."""
        for url in self._made if self._server is not None else ():
            self._server.drop_database(url.rpartition("/")[2])


@pytest.fixture
def copies(world: World, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Copies]:
    """Copies of the world on its engine."""
    is_sqlite = world.url.startswith("sqlite")
    made = Copies(world, tmp_path, None if is_sqlite else request.getfixturevalue("postgres"))
    yield made
    made.close()


@pytest.fixture
def own(copies: Copies) -> World:
    """One copy."""
    return copies.one()


class Attempt:
    """One attempt at an erasure, as a recorder would make it: with everything opened anew."""

    def __init__(self, world: World, names: list[str], *, is_dry: bool = False) -> None:
        self.connection = open_store(world.url, read_only=False).connect()
        self.spool = Spool(world.spool)
        entry = None
        if not is_dry:
            with self.connection.begin():
                entry = erasure.begin(self.connection, names, "ann", NOW)
        self.steps = erase(self.connection, self.spool, world.archive, Subject(names), entry)

    def run(self, most_steps: int = STEP_LIMIT) -> erasure_tally.ErasureTally | None:
        """Go on; None: so many steps were not the end."""
        for _ in range(most_steps):
            try:
                next(self.steps)
            except StopIteration as end:
                self.close()
                tally: erasure_tally.ErasureTally = end.value
                return tally
            assert not self.connection.in_transaction()
        assert most_steps < STEP_LIMIT
        return None

    def close(self) -> None:
        """Let go of database and spool, and leave the work as it is."""
        self.connection.close()
        self.spool.close()


def erase_all(world: World, subject: int = 3) -> erasure_tally.ErasureTally:
    """Erase a subject in one go."""
    tally = Attempt(world, pseudonyms(subject)).run()
    assert tally is not None
    return tally


def lines_of(dump: dict[str, list[str]], places: str) -> list[str]:
    """Return the lines of the places that match."""
    return [line for place, lines in dump.items() if re.search(places, place) for line in lines]


def receipt(world: World) -> dict[str, Any]:
    """Return the receipt of the only erasure."""
    with open_store(world.url, read_only=True).connect() as connection:
        (found,) = erasure.listed(connection)
    return found.to_dict()


class TestErase:
    """`erase`, uninterrupted."""

    @ON_BOTH
    def test_one_of_ten(self, own: World) -> None:
        """S002-113: its records are gone from database, archives and spool; the others are as they were."""
        before = own.dump()
        counts = erase_all(own).counts
        after = own.dump()
        assert (in_table(own), ARCHIVED, SPOOLED) == (
            counts["records"], counts["archived_records"], counts["spooled_records"],
        )  # fmt: skip
        for places, left in (("^records$", 9 * in_table(own)), ("^records/", 9 * ARCHIVED)):
            held = lines_of(after, places)
            assert left == len(held)
            assert set(held) < set(lines_of(before, places))
        waiting = [[line for line in dump["x.spool"] if "record" in line[:9]] for dump in (before, after)]
        assert (200, 180) == (len(waiting[0]), len(waiting[1]))
        assert set(waiting[1]) < set(waiting[0])
        assert [] == [place for place, lines in after.items() if is_named(lines, 3)]

    def test_both_epochs(self, own: World) -> None:
        """S002-68: an id has another pseudonym in each epoch, and goes from both if both keys are kept."""
        assert pseudonym(3, 0) != pseudonym(3, 1)
        before = own.dump()
        assert all(named(before, pseudonym(3, epoch)) for epoch in (0, 1))
        erase_all(own)
        assert [False, False] == [named(own.dump(), pseudonym(3, epoch)) for epoch in (0, 1)]

    def test_one_epoch_alone(self, own: World) -> None:
        """A pseudonym erases what was stored under its key, and nothing else."""
        before = own.dump()
        Attempt(own, [pseudonym(3, 0)]).run()
        after = own.dump()
        assert not named(after, pseudonym(3, 0))
        assert before["x.spool"] == after["x.spool"]

    @ON_BOTH
    def test_the_others_stay(self, own: World) -> None:
        """What is left of the spool, once stored, is there beside the others; every ledger balances."""
        erase_all(own)
        with (
            closing(Spool(own.spool)) as spool,
            closing(Writer(open_store(own.url, read_only=False))) as writer,
        ):
            writer.write([write for _number, write in spool.oldest(10**6)])
        with open_store(own.url, read_only=True).connect() as connection:
            process = "SELECT stored, erased, produced FROM processes WHERE process = 'p-3'"
            assert (400, 40, 400) == tuple(connection.execute(text(process)).one())
            run = find_run(connection, "run-1")
            ledger = run_ledger(connection, run.id)
            rows = connection.scalar(text(f"SELECT count(*) FROM records WHERE run_day = {run.run_day}"))
            problems = list(run_problems(connection, run, NOW))
        assert (True, 40, 360) == (ledger.is_balanced, ledger.erased, rows)
        assert "stored 400 (40 erased since)" in ledger.text()
        assert [] == [problem for problem in problems if "there" in problem]

    def test_rollups_stay(self, own: World) -> None:
        """Counts, latencies and gauges are of nobody: no figure of a run changes."""
        before = own.dump()
        erase_all(own)
        after = own.dump()
        for place in ("rollups", "gauges", "series", "errors", "shapes", "runs", "signatures"):
            assert before[place] == after[place]

    @ON_BOTH
    def test_evidence(self, own: World) -> None:
        """Occurrences stay with their counts; what they show of the subject's records is gone."""
        erase_all(own)
        dump = own.dump()
        seen = lines_of(dump, "^occurrences$|^occurrences/|spool$")
        assert seen
        assert any("(erased)" in line for line in dump["occurrences"])
        assert any("(erased)" in line for line in lines_of(dump, "^occurrences/"))
        # A hundred and three, and their like: the exemplars that only say a number.
        assert [] == [line for line in seen if re.search(r'"seq": ?\d*3[,}]', line)]

    def test_receipt(self, own: World) -> None:
        """S002-10: what is kept of the subject is the sha256 of its pseudonyms."""
        erase_all(own)
        found = receipt(own)
        assert list(Subject(pseudonyms(3)).digests) == found["sha256"]
        assert ("ann", NOW, in_table(own)) == (
            found["actor"], found["requested_at"], found["counts"]["records"],
        )  # fmt: skip
        assert not any(name in json.dumps(found) for name in pseudonyms(3))

    def test_archives_are_noted(self, own: World) -> None:
        """A file that was rewritten is the one of which the table has sha256, rows and size."""
        erase_all(own)
        with open_store(own.url, read_only=True).connect() as connection:
            rows = connection.execute(text("SELECT path, sha256, rows, size_bytes FROM archives")).all()
        assert rows
        for row in rows:
            assert verify(Path(row.path), row.sha256, row.rows) is None
            assert Path(row.path).stat().st_size == row.size_bytes

    def test_a_file_without_the_subject(self, own: World) -> None:
        """It is not touched."""
        paths = sorted(own.archive.rglob("*.gz"))
        before = [(path.stat().st_mtime_ns, path.stat().st_ino) for path in paths]
        Attempt(own, [pseudonym(3, 1)]).run()  # the second epoch has no archive
        assert before == [(path.stat().st_mtime_ns, path.stat().st_ino) for path in paths]

    def test_nobody(self, own: World) -> None:
        """A subject that is nowhere changes nothing but the table of receipts."""
        before = own.dump()
        tally = Attempt(own, ["AAAAAAAAAAAAAAAAAAAAAA"]).run()
        after = own.dump()
        assert tally is not None
        assert {} == dict(tally.counts)
        assert before == {**after, "erasures": []}

    @ON_BOTH
    def test_dry_run(self, own: World) -> None:
        """It counts what would go, and changes nothing at all."""
        before = own.dump()
        tally = Attempt(own, pseudonyms(3), is_dry=True).run()
        assert tally is not None
        assert before == own.dump()
        assert dict(erase_all(own).counts) == dict(tally.counts)

    def test_a_second_time(self, own: World) -> None:
        """What is gone is not counted again; the receipt stays as it is while nothing is left."""
        first = erase_all(own)
        with open_store(own.url, read_only=False).begin() as connection:
            erasure.save(connection, 1, state=erasure.FINISHED)
        assert {} == dict(erase_all(own).counts)
        assert first.counts


class TestPlaces:
    """`erase`, where something is out of the ordinary."""

    def test_a_spool_that_was_put_aside(self, own: World) -> None:
        """Files that once were the spool are searched, too."""
        with closing(Spool(own.spool)) as spool:
            aside = spool.put_aside("p-3")
        assert named(own.dump(), pseudonym(3, 1))
        assert SPOOLED == erase_all(own).counts["spooled_records"]
        assert (aside.is_file(), False) == (True, any(is_named(some, 3) for some in own.dump().values()))

    def test_a_damaged_spool(self, own: World) -> None:
        """It is named as what could not be searched, and stays as it is."""
        damaged = own.spool.with_name("x.spool.123")
        damaged.write_bytes(b"no database at all" * 100)
        (said,) = erase_all(own).skipped
        assert f"the spool {damaged} cannot be read (file is not a database)" in said
        assert damaged.read_bytes().startswith(b"no database")

    def test_records_that_made_room(self, own: World) -> None:
        """Where a full spool has dropped the records, what shows the subject goes all the same."""
        with closing(sqlite3.connect(own.spool)) as connection, connection:
            connection.execute("UPDATE batches SET records = NULL")
        tally = erase_all(own)
        assert (0, True) == (tally.counts["spooled_records"], tally.counts["spooled_occurrences"] > 0)
        assert not named(own.dump(), pseudonym(3, 1))
        with closing(Spool(own.spool)) as spool:
            assert [50] * 4 == [write.evicted for _number, write in spool.oldest(10**6)]

    def test_a_damaged_archive(self, own: World) -> None:
        """It is named as what could not be searched; put right, the next attempt finds it."""
        path = max(own.archive.glob("records/**/*.gz"), key=lambda one: one.stat().st_size)
        whole = path.read_bytes()
        path.write_bytes(whole[: len(whole) // 2])
        assert any(str(path) in one for one in erase_all(own).skipped)
        path.write_bytes(whole)
        tally = erase_all(own)
        assert ([], ARCHIVED) == (tally.skipped, tally.counts["archived_records"])
        assert not any(is_named(some, 3) for some in own.dump().values())

    def test_an_archive_that_somebody_changed(self, own: World) -> None:
        """It is not rewritten: with a new sha256 the change would never be noticed."""
        path = max(own.archive.glob("records/**/*.gz"), key=lambda one: one.stat().st_size)
        path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes()), 1))
        changed = path.read_bytes()
        assert any("is damaged (its sha256" in one for one in erase_all(own).skipped)
        assert changed == path.read_bytes()

    def test_files_that_no_row_knows(self, own: World) -> None:
        """What a cleanup that was killed left is searched as well; what it had only begun is removed."""
        with open_store(own.url, read_only=False).begin() as connection:
            connection.execute(text("DELETE FROM archives WHERE kind = 'records'"))
        begun = next(own.archive.glob("records/**/p-2.1.jsonl.gz"))
        (part := begun.with_name(f"{begun.name}.part")).write_bytes(begun.read_bytes()[:100])
        strange = begun.with_name("another.1.jsonl.gz")
        strange.write_bytes(begun.read_bytes())
        assert ARCHIVED == erase_all(own).counts["archived_records"]
        assert (False, True) == (
            part.exists(),
            is_named(own.dump().pop(str(strange.relative_to(own.archive))), 3),
        )
        strange.unlink()
        assert not any(is_named(some, 3) for some in own.dump().values())

    def test_a_spool_that_is_stored_meanwhile(self, copies: Copies, monkeypatch: pytest.MonkeyPatch) -> None:
        """At whatever step the recorder brings it into the database, nothing of the subject stays."""
        monkeypatch.setattr(erasure_tally, "STEP_S", 0.0)
        for steps in range(1, STEP_LIMIT, 25):
            world = copies.one()
            attempt = Attempt(world, pseudonyms(3))
            is_over = attempt.run(steps) is not None
            if not is_over:
                replay(world, attempt)
                attempt.run()
            assert not any(is_named(some, 3) for some in world.dump().values()), steps
            if is_over:
                return


def replay(world: World, attempt: Attempt) -> None:
    """Store what waits, as the recorder that does the erasure would."""
    with closing(Writer(open_store(world.url, read_only=False))) as writer:
        found = attempt.spool.oldest(10**6)
        writer.write([write for _number, write in found])
    attempt.spool.remove([number for number, _write in found])


class TestInterrupted:
    """`erase`, ended at any step and begun again."""

    @pytest.fixture(autouse=True)
    def _short_steps(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(erasure_tally, "STEP_S", 0.0)

    def end_after(self, copies: Copies, steps: int, held: list[Any]) -> tuple[World, bool]:
        """Return a world in which an attempt ended after so many steps and another came to its end."""
        world = copies.one()
        first = Attempt(world, pseudonyms(3))
        is_done = first.run(steps) is not None
        # Kept alive: it must not clean up behind itself, as a process that was killed does not.
        held.append(first.steps)
        first.close()
        erase_all(world)
        return world, is_done

    def compare(self, copies: Copies, every: int) -> None:
        """Erase once in one go, and then with an end after each of the steps."""
        reference = copies.one()
        erase_all(reference)
        expected = portable(reference)
        held: list[Any] = []
        for steps in range(1, STEP_LIMIT, every):
            world, is_done = self.end_after(copies, steps, held)
            assert expected == portable(world), steps
            if is_done:
                break
        assert len(held) > 1

    @ON_BOTH
    def test_some_steps(self, copies: Copies) -> None:
        """Database, archives, spool and receipt are those of an erasure that nothing interrupted."""
        self.compare(copies, 29)

    @pytest.mark.faults
    def test_every_step(self, copies: Copies) -> None:
        """The same with an end after each single step."""
        self.compare(copies, 1)


def in_table(world: World) -> int:
    """Return how many records each subject has in the table."""
    return 40 if world.url.startswith("sqlite") else 80


def named(dump: dict[str, list[str]], name: str) -> bool:
    """Whether a dump holds a pseudonym as a whole word."""
    return any(
        re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", line) for lines in dump.values() for line in lines
    )


def portable(world: World) -> dict[str, list[str]]:
    """Return a dump that says nothing of the folder in which the world is."""
    folder = str(world.archive.parent)
    return {place: [line.replace(folder, "") for line in lines] for place, lines in world.dump().items()}
