"""Batches wait in a file: in order, within bounds, and through any death of the process."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import stat
import subprocess
import sys
import time
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from batches import BEGIN, Content, Feed, expected, lean, open_streams, opened_writer, stored

from streamlab_plugin.core.errors import ConfigError
from streamlab_plugin.store.batch import StreamWrite
from streamlab_plugin.store.engine import open_store
from streamlab_plugin.store.spool import (
    Newest,
    Spool,
    SpoolDamagedError,
    SpoolError,
)
from streamlab_plugin.store.spool_status import spool_capacity_bytes, spool_path, spool_status
from streamlab_plugin.store.writer import Writer


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    """Return a spool whose file does not exist yet."""
    return Spool(tmp_path / "state" / "x.spool")


def drain(spool: Spool, url: str, most_records: int = 50) -> None:
    """Store everything that waits, as a recorder does."""
    with closing(Writer(open_store(url, read_only=False))) as writer:
        while found := spool.oldest(most_records):
            writer.write([write for _number, write in found])
            spool.remove([number for number, _write in found])


def frames(spool: Spool) -> list[tuple[str, int]]:
    """Return what waits: process and last frame."""
    return [(write.process, write.last_frame) for _number, write in spool.oldest(10**9)]


class TestSpool:
    """`Spool`."""

    def test_batches_come_out_in_the_order_they_went_in(self, spool: Spool) -> None:
        """Of all processes together, a part at a time."""
        one, two = Feed("p-1"), Feed("p-2")
        spool.append([one.batch(3), two.batch(3)])
        spool.append([one.batch(3)])
        assert [("p-1", 1), ("p-2", 1), ("p-1", 2)] == frames(spool)
        first = spool.oldest(4)
        assert ["p-1", "p-2"] == [write.process for _number, write in first]
        spool.remove([number for number, _write in first])
        assert [("p-1", 2)] == frames(spool)

    def test_it_knows_how_far_each_stream_got(self, spool: Spool) -> None:
        """Also after it was opened anew."""
        feed = Feed()
        spool.append([feed.batch(3), feed.batch(4)])
        spool.close()
        again = Spool(spool.path)
        assert Newest(2, 7) == again.newest("p-1")
        assert again.newest("p-2") is None
        assert (2, 7) == again.waiting()

    def test_the_file_is_private_and_gone_when_nothing_waits(self, spool: Spool) -> None:
        """It may hold redacted payloads only, and is nobody else's all the same."""
        assert spool.is_empty
        assert not spool.path.exists()
        spool.append([Feed().batch(3)])
        assert 0o600 == stat.S_IMODE(spool.path.stat().st_mode)
        assert 0o700 == stat.S_IMODE(spool.path.parent.stat().st_mode)
        spool.remove([number for number, _write in spool.oldest(9)])
        assert spool.is_empty
        assert [] == list(spool.path.parent.iterdir())
        spool.append([Feed().batch(3)])
        assert [("p-1", 1)] == frames(spool)

    def test_words_replace_each_other_and_can_be_forgotten(self, spool: Spool) -> None:
        """One message per run or process and kind; their order is that of the first."""
        for name, body in (("a", b"1"), ("b", b"2"), ("a", b"3")):
            spool.say("run", name, body)
        spool.say("stop", "a", b"4")
        assert [("a", b"3"), ("b", b"2")] == spool.words("run")
        spool.unsay("run", "a")
        spool.unsay("run", "b")
        assert ([], [("a", b"4")]) == (spool.words("run"), spool.words("stop"))
        spool.unsay("stop", "a")
        assert spool.is_empty
        assert not spool.path.exists()

    def test_a_full_disk_costs_the_call_only(self, spool: Spool) -> None:
        """What was kept before stays, and so does the room that was counted."""
        feed = Feed()
        spool.append([feed.batch(100)])
        connection: Any = spool._open
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count = {pages}").fetchall()
        write = feed.batch(3000)
        with pytest.raises(SpoolError, match="full"):
            spool.append([write])
        assert [("p-1", 1)] == frames(spool)
        connection.execute("PRAGMA max_page_count = 1000000").fetchall()
        spool.append([write])
        assert [("p-1", 1), ("p-1", 2)] == frames(spool)

    def test_a_place_that_cannot_be_written_is_an_error_of_its_own(self, tmp_path: Path) -> None:
        """So that nobody takes it for one of the database."""
        (tmp_path / "file").write_text("")
        with pytest.raises(SpoolError):
            Spool(tmp_path / "file" / "x.spool").append([Feed().batch(1)])


class TestCapacity:
    """A spool that is full lets raw records go, never what was counted over them."""

    CAPACITY_BYTES = 300_000

    def _fill(self, path: Path, batches: int) -> tuple[Spool, list[StreamWrite]]:
        choice, feed = random.Random(1), Feed()
        spool = Spool(path, self.CAPACITY_BYTES)
        writes = []
        for _ in range(batches):
            numbers = range(feed.seq + 1, feed.seq + 101)
            rows = [lean(feed.keys, n, payload=f'["{choice.randbytes(40).hex()}"]') for n in numbers]
            writes.append(feed.write([], rows))
            spool.append(writes[-1:])
        return spool, writes

    def test_the_oldest_records_go_and_are_counted(self, tmp_path: Path) -> None:
        """The newest stay whole; the status says how many went."""
        spool, writes = self._fill(tmp_path / "x.spool", 120)
        found = [write for _number, write in spool.oldest(10**9)]
        assert [write.last_frame for write in writes] == [write.last_frame for write in found]
        gone = [write.evicted for write in found]
        assert 0 < sum(gone) < 12_000
        assert sorted(gone, reverse=True) == gone
        assert 100 == found[-1].records
        assert 12_000 == sum(write.records + write.evicted for write in found)
        status = spool_status(spool.path, self.CAPACITY_BYTES)
        assert (120, 12_000 - sum(gone), sum(gone)) == (status.batches, status.records, status.evicted)

    def test_the_file_stays_within_the_capacity(self, tmp_path: Path) -> None:
        """With a margin for pages; the log beside it has a bound of its own."""
        spool, _writes = self._fill(tmp_path / "x.spool", 200)
        spool.close()
        assert spool.path.stat().st_size <= 1.2 * self.CAPACITY_BYTES

    def test_rollups_of_what_went_are_exact(self, tmp_path: Path, database_url: str) -> None:
        """And the ledger says where the records are."""
        spool, writes = self._fill(tmp_path / "x.spool", 60)
        open_streams(database_url, "p-1")
        gone = spool_status(spool.path).evicted
        drain(spool, database_url, 1000)
        content, whole = stored(database_url), expected(writes)
        assert (whole.rollups, whole.gauges) == (content.rollups, content.gauges)
        ledger = content.ledgers["p-1"]
        assert 0 < gone
        assert (6000, 6000 - gone, gone) == (ledger["produced"], ledger["stored"], ledger["evicted"])
        assert whole.records[gone:] == content.records

    @pytest.mark.parametrize("text", ["0", "-1", "many", "1.5"])
    def test_a_capacity_that_is_none_is_refused(self, text: str) -> None:
        """One line with the remedy."""
        with pytest.raises(ConfigError, match=r"STREAMLAB_SPOOL_MB.*whole number"):
            spool_capacity_bytes({"STREAMLAB_SPOOL_MB": text})

    def test_the_capacity_is_given_in_megabytes(self) -> None:
        """1 GB unless the environment says otherwise."""
        assert (10**9, 25_000_000) == (
            spool_capacity_bytes({}), spool_capacity_bytes({"STREAMLAB_SPOOL_MB": "25"}),
        )  # fmt: skip


class TestStatus:
    """`spool_status`, for pages and commands: reads only."""

    def test_it_says_what_waits_while_the_spool_is_in_use_and_after(self, spool: Spool) -> None:
        """Batches, records, size, age."""
        assert "empty" == spool_status(spool.path).text(0.0)
        spool.append([Feed().batch(1500)])
        for _ in range(2):
            status = spool_status(spool.path)
            assert (1, 1500) == (status.batches, status.records)
            assert status.oldest_at is not None
            assert "1,500 records wait, " in status.text(status.oldest_at + 90)
            assert "for 90 s" in status.text(status.oldest_at + 90)
            spool.close()

    def test_it_creates_nothing(self, tmp_path: Path) -> None:
        """Neither file nor folder."""
        spool_status(spool_path("sqlite:///x.db", {"XDG_STATE_HOME": str(tmp_path / "state")}))
        assert [] == list(tmp_path.iterdir())

    def test_each_database_has_a_spool_of_its_own_without_a_password_in_its_name(self) -> None:
        """User and password do not matter, host and name do."""
        urls = [f"postgresql://{name}@db/{base}" for name in ("a:hunter2", "b") for base in "xy"]
        paths = [spool_path(url, {"XDG_STATE_HOME": "/s"}) for url in urls]
        assert paths[0] == paths[2]
        assert 2 == len(set(paths))
        assert all("hunter2" not in str(path) for path in paths)


class TestDamage:
    """A file that holds something else than was written stops nobody."""

    def test_a_file_that_is_no_spool_is_put_aside(self, tmp_path: Path) -> None:
        """Kept under another name; the spool begins anew."""
        path = tmp_path / "x.spool"
        path.write_bytes(random.Random(1).randbytes(20_000))
        spool = Spool(path)
        assert spool.is_empty
        spool.append([Feed().batch(3)])
        assert [("p-1", 1)] == frames(spool)
        assert 20_000 in [one.stat().st_size for one in tmp_path.iterdir()]

    def test_overwritten_pages_are_noticed_and_put_aside(self, tmp_path: Path) -> None:
        """At the latest when they are read; then a new spool can begin."""
        path = tmp_path / "x.spool"
        spool, feed = Spool(path), Feed()
        for _ in range(20):
            spool.append([feed.batch(200)])
        spool.close()
        with path.open("r+b") as file:
            file.seek(8192)
            file.write(random.Random(2).randbytes(path.stat().st_size - 8192))
        spool = Spool(path)
        with suppress(SpoolDamagedError):  # noticed when it was opened or now, as the pages happen to lie
            spool.oldest(10**9)
        assert spool.is_empty
        assert [] == spool.oldest(10**9)
        Spool(path).append([Feed().batch(3)])

    def test_a_damaged_batch_is_noticed(self, spool: Spool) -> None:
        """Its bytes are no longer what was packed."""
        spool.append([Feed().batch(300)])
        spool.close()
        with closing(sqlite3.connect(spool.path)) as connection, connection:
            connection.execute("UPDATE batches SET rest = zeroblob(50)")
        with pytest.raises(SpoolDamagedError, match="damaged"):
            Spool(spool.path).oldest(9)
        assert Spool(spool.path).is_empty

    def test_what_no_database_takes_moves_to_a_file_of_its_own(self, spool: Spool) -> None:
        """The batches of one process; the others keep their order."""
        one, two = Feed("p-1"), Feed("p-2")
        spool.append([one.batch(3), two.batch(3), one.batch(3), two.batch(3)])
        aside = spool.put_aside("p-1")
        assert [("p-2", 1), ("p-2", 2)] == frames(spool)
        assert [("p-1", 1), ("p-1", 2)] == frames(Spool(aside))
        assert (2, 6) == spool.waiting()


APPENDER = """
import sys
from pathlib import Path
from batches import Feed
from streamlab_plugin.store.spool import Spool
spool, feed = Spool(Path(sys.argv[1])), Feed()
while True:
    spool.append([feed.batch(40)])
    print(feed.frame, flush=True)
"""
REPLAYER = """
import sys
from pathlib import Path
from streamlab_plugin.store.engine import open_store
from streamlab_plugin.store.spool import Spool
from streamlab_plugin.store.writer import Writer
spool, writer = Spool(Path(sys.argv[1])), Writer(open_store(sys.argv[2], read_only=False))
print("ready", flush=True)
while found := spool.oldest(30):
    writer.write([write for _number, write in found])
    spool.remove([number for number, _write in found])
"""


def start(script: str, *arguments: object) -> subprocess.Popen[str]:
    """Run a script in a process of its own."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", script, *map(str, arguments)]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)


class TestKilled:
    """A process that is killed leaves a spool that the next one can use."""

    @pytest.mark.parametrize("seed", range(5))
    def test_while_it_appends(self, tmp_path: Path, seed: int) -> None:
        """Everything that was appended is there, in order; at most the last one more or not."""
        path = tmp_path / "x.spool"
        choice = random.Random(seed)
        with start(APPENDER, path) as child:
            assert child.stdout is not None
            for _ in range(choice.randint(1, 60)):
                said = int(child.stdout.readline())
            time.sleep(choice.uniform(0, 0.004))  # so that it dies at any place between two lines
            child.send_signal(signal.SIGKILL)
            said = max([said, *map(int, child.stdout.read().split())])
        spool, feed = Spool(path), Feed()
        found = [write for _number, write in spool.oldest(10**9)]
        assert len(found) in (said, said + 1)
        wanted = expected([feed.batch(40) for _ in found])
        assert wanted == expected(found)

    def _replay_through_kills(self, path: Path, url: str, seed: int, kills: int) -> None:
        choice = random.Random(seed)
        for _ in range(kills):
            with start(REPLAYER, path, url) as child:
                assert child.stdout is not None
                child.stdout.readline()
                time.sleep(choice.uniform(0, 0.05))  # the moment of death is what is varied
                child.send_signal(signal.SIGKILL)

    @pytest.mark.parametrize("kills", [2, pytest.param(20, marks=pytest.mark.faults)])
    def test_while_it_replays(self, tmp_path: Path, database_url: str, kills: int) -> None:
        """Everything is stored exactly once, and rollups are those of direct writing."""
        one, two = Feed("p-1"), Feed("p-2")
        writes = [feed.batch(30, BEGIN + at // 3) for at in range(20 * kills) for feed in (one, two)]
        open_streams(database_url, "p-1", "p-2")
        spool = Spool(tmp_path / "x.spool")
        for write in writes:
            spool.append([write])
        spool.close()
        self._replay_through_kills(spool.path, database_url, kills, kills)
        drain(Spool(spool.path), database_url)
        assert expected(writes) == stored(database_url)

    def test_between_the_write_and_the_removal(self, spool: Spool, database_url: str) -> None:
        """Written again, and stored once; also when its records had to go in between."""
        feed = Feed()
        writes = [feed.batch(9), feed.batch(9)]
        spool.append(writes)
        with closing(opened_writer(database_url, "p-1")) as writer:
            writer.write([write for _number, write in spool.oldest(1)])
            spool.close()
            writer.write([replace(writes[0], rows=[], lean=[], evicted=9)])
        drain(spool, database_url)
        whole: Content = expected(writes)
        assert whole == stored(database_url)
