"""The recorder as a process: what a client sends is stored exactly once, whatever is repeated."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from postgres import PostgresServer
from proxy import Proxy
from recorder_process import DEADLINE_S, Client, Recorder, a_frame, opening, records

from streamlab_plugin.link.message import (
    LINK_VERSION,
    Ack,
    CloseProcess,
    Frame,
    Notice,
    OpenProcess,
    OpenRun,
    Refused,
    RunOpened,
    StopRun,
    Unrecorded,
    VerdictReached,
    Welcome,
)
from streamlab_plugin.store.engine import open_store
from streamlab_plugin.store.migrate import migrate


@pytest.fixture
def recorder(tmp_path: Path, database_url: str) -> Iterator[Recorder]:
    """Return a running recorder."""
    one = Recorder(tmp_path, database_url)
    one.start()
    yield one
    one.close()


class TestRecorder:
    """The whole process."""

    def test_a_run_from_opening_to_verdict(self, recorder: Recorder) -> None:
        """Stored, acknowledged, balanced, judged; then the recorder ends by itself."""
        client = Client(recorder)
        assert isinstance(client.hear(Welcome), Welcome)
        client.say(*opening())
        assert RunOpened("run-1") == client.hear(RunOpened)
        client.say(a_frame(1, records(1, 60)), CloseProcess("p-1", 2, 60, {}, time.time()))
        client.hear_ack(2)
        client.say(StopRun("run-1", time.time(), 0))
        verdict = client.hear(VerdictReached)
        assert "produced 60 · stored 60 · balanced" in verdict.text
        assert [(60,)] == recorder.query("SELECT count(*) FROM records")
        assert [(verdict.exit_code,)] == recorder.query("SELECT exit_code FROM verdicts")
        client.close()
        assert 0 == recorder.end()

    def test_payloads_are_redacted_before_they_are_stored(self, recorder: Recorder) -> None:
        """The kept field is there, the name nowhere in the file."""
        client = Client(recorder)
        client.say(*opening(), a_frame(1, records(1, 1)))
        client.hear_ack(1)
        ((payload,),) = recorder.query("SELECT payload FROM records_flat")
        assert {"status": "ok"} == json.loads(payload)
        client.close()
        recorder.end()
        if recorder.url.startswith("sqlite"):
            assert b"Anna" not in Path(recorder.url.removeprefix("sqlite:///")).read_bytes()

    def test_a_repeated_frame_is_stored_once(self, recorder: Recorder) -> None:
        """A client that missed an acknowledgement says everything again."""
        client = Client(recorder)
        client.say(
            *opening(), a_frame(1, records(1, 5)), a_frame(1, records(1, 5)), a_frame(2, records(6, 5))
        )
        client.hear_ack(2)
        assert [(10, 10)] == recorder.query("SELECT count(*), count(DISTINCT seq) FROM records")
        assert [(10,)] == recorder.query("SELECT sum(count) FROM rollups WHERE period_s = 3600")

    def test_a_killed_recorder_is_followed_by_one_that_knows(self, recorder: Recorder) -> None:
        """Everything is said again to the next one; rows and rollups are exact."""
        client = Client(recorder)
        opened = opening()
        client.say(*opened, a_frame(1, records(1, 100)))
        client.hear_ack(1)
        client.say(a_frame(2, records(101, 100)))
        recorder.kill()
        client.close()
        recorder.start()
        again = Client(recorder)
        again.say(
            *opened, a_frame(1, records(1, 100)), a_frame(2, records(101, 100)), a_frame(3, records(201, 1))
        )
        again.hear_ack(3)
        assert [(201, 201)] == recorder.query("SELECT count(*), count(DISTINCT seq) FROM records")
        assert [(201,)] == recorder.query("SELECT sum(count) FROM rollups WHERE period_s = 3600")
        assert [(201,)] == recorder.query("SELECT stored FROM processes")

    def test_a_broken_payload_leaves_metadata(self, recorder: Recorder) -> None:
        """Fails closed, and the record is there."""
        client = Client(recorder)
        client.say(*opening(), a_frame(1, records(1, 1, payload=b'{"name": "Anna", broken')))
        client.hear_ack(1)
        assert [(None, "/a")] == recorder.query("SELECT payload, endpoint FROM records_flat")
        assert 1 == json.loads(recorder.query("SELECT privacy FROM processes")[0][0])["failed"]

    def test_a_record_that_cannot_be_judged_is_quarantined(self, recorder: Recorder) -> None:
        """Counted; the others of its frame are stored."""
        client = Client(recorder)
        held = [*records(1, 2), *records(3, 1, outcome="nonsense"), *records(4, 1)]
        client.say(*opening(), a_frame(1, held))
        client.hear_ack(1)
        assert [(3, 1)] == recorder.query("SELECT stored, quarantined FROM processes")

    def test_a_record_of_the_wrong_type_costs_only_itself(self, recorder: Recorder) -> None:
        """It is quarantined, and the connection lives on."""
        client = Client(recorder)
        held = [*records(1, 2), records(3, 1)[0]._replace(size_bytes="many"), *records(4, 1)]  # type: ignore[arg-type]
        client.say(*opening(), a_frame(1, held), a_frame(2, records(5, 1)))
        client.hear_ack(2)
        assert [(4, 1, 5)] == recorder.query("SELECT stored, quarantined, produced FROM processes")

    def test_another_link_version_is_refused_in_one_line(self, recorder: Recorder) -> None:
        """With the exit code for it."""
        client = Client(recorder, version=LINK_VERSION + 1)
        refused = client.hear(Refused)
        assert 4 == refused.exit_code
        assert "link version" in refused.message

    def test_a_worker_without_its_run_is_told(self, recorder: Recorder) -> None:
        """Master and worker with different databases."""
        owner = Client(recorder)
        owner.hear(Welcome)
        worker = Client(recorder, role="worker")
        worker.say(OpenProcess("no-such-run", "p-9", "worker", 1, time.time()))
        assert "not in this recorder's database" in worker.hear(Unrecorded).message

    def test_a_worker_may_come_before_the_owner(self, tmp_path: Path) -> None:
        """The schema is made all the same."""
        recorder = Recorder(tmp_path, f"sqlite:///{tmp_path}/new.db")
        recorder.start()
        worker = Client(recorder, role="worker")
        worker.hear(Welcome)
        owner = Client(recorder, role="master")
        owner.say(*opening(role="master"))
        assert RunOpened("run-1") == owner.hear(RunOpened)
        recorder.close()

    def test_a_stream_that_breaks_off_is_lost_and_the_run_has_no_verdict(self, recorder: Recorder) -> None:
        """A killed worker is noticed: inconclusive, exit 3; with nobody else the run has failed."""
        owner, worker = Client(recorder, role="master"), Client(recorder, role="worker")
        owner.say(*opening(process="m", role="master"))
        owner.hear(RunOpened)
        worker.say(opening(process="w", role="worker")[1], a_frame(1, records(1, 60), process="w"))
        worker.hear_ack(1)
        worker.close()
        owner.say(CloseProcess("m", 1, 0, {}, time.time()), StopRun("run-1", time.time(), 1))
        verdict = owner.hear(VerdictReached)
        assert 3 == verdict.exit_code
        assert "1 of 2 processes were lost" in verdict.text
        assert [("failed",)] == recorder.query("SELECT state FROM runs")

    def test_a_run_whose_owner_vanished_is_aborted(self, recorder: Recorder) -> None:
        """Nobody will say when it stopped; what it sent is there."""
        owner = Client(recorder)
        owner.say(*opening(), a_frame(1, records(1, 7)))
        owner.hear_ack(1)
        owner.close()
        recorder.end()
        assert [("aborted",)] == recorder.query("SELECT state FROM runs")
        assert [(7,)] == recorder.query("SELECT count(*) FROM records")

    def test_a_process_that_only_lost_its_connection_is_not_lost(self, recorder: Recorder) -> None:
        """It comes again, and its stream goes on where it was."""
        first = Client(recorder)
        opened = opening()
        first.say(*opened, a_frame(1, records(1, 7)))
        first.hear_ack(1)
        first.close()
        recorder.await_rows("SELECT state FROM processes", [("lost",)])
        again = Client(recorder, is_back=True)
        retold = msgspec.structs.replace(opened[1], is_retold=True, acknowledged=1)
        again.say(opened[0], retold, a_frame(2, records(8, 3)))
        again.hear_ack(2)
        recorder.await_rows("SELECT state, stored FROM processes", [("open", 10)])
        again.say(CloseProcess("p-1", 3, 10, {}, time.time()), StopRun("run-1", time.time(), 0))
        assert "produced 10 · stored 10 · balanced" in again.hear(VerdictReached).text

    def test_a_number_that_is_too_large_costs_only_its_record(self, recorder: Recorder) -> None:
        """Whatever the column: the frame is acknowledged, and so is the next one."""
        client = Client(recorder)
        held = [
            *records(1, 1), *records(2, 1, status=2**40), *records(3, 1, stream_seq=2**63),
            *records(4, 1, fault="a\x00b"), *records(5, 1),
        ]  # fmt: skip
        client.say(*opening(), a_frame(1, held), a_frame(2, records(6, 1)))
        client.hear_ack(2)
        ((stored, quarantined),) = recorder.query("SELECT stored, quarantined FROM processes")
        assert 6 == stored + quarantined
        assert {1, 5, 6} <= {seq for (seq,) in recorder.query("SELECT seq FROM records")}
        assert [] == recorder.query("SELECT status FROM records WHERE status NOT IN (200, 1099511627776)")

    def test_a_damaged_spool_does_not_stop_it(self, tmp_path: Path, database_url: str) -> None:
        """It is put aside, with a line in the log."""
        recorder = Recorder(tmp_path, database_url)
        recorder.spool.parent.mkdir(parents=True)
        recorder.spool.write_bytes(random.Random(1).randbytes(9000))
        recorder.start()
        client = Client(recorder)
        client.say(*opening(), a_frame(1, records(1, 5)))
        client.hear_ack(1)
        assert [(5,)] == recorder.query("SELECT count(*) FROM records")
        assert "damaged" in recorder.log
        assert 1 == len(list(recorder.spool.parent.glob("*.spool.*")))
        recorder.close()

    def test_a_database_that_cannot_be_made_is_refused(self, tmp_path: Path) -> None:
        """Before the first request, with the exit code of infrastructure."""
        recorder = Recorder(tmp_path, f"sqlite:///{tmp_path}/no/such/folder.db")
        recorder.start()
        assert 4 == Client(recorder).hear(Refused).exit_code
        recorder.close()


class Away:
    """A PostgreSQL database that can be taken away from the recorder alone, or stand still for everybody."""

    def __init__(self, server: PostgresServer, url: str, folder: Path) -> None:
        self.server = server
        self.proxy = Proxy(server.port)
        self.recorder = Recorder(folder, url)
        self._through = url.replace(f":{server.port}/", f":{self.proxy.port}/")
        self.recorder.url = self._through

    def take(self, how: str) -> None:
        """Take it away."""
        {"cut": self.proxy.cut, "hold": self.proxy.hold}[how]()

    def give_back(self) -> None:
        """Bring it back."""
        self.proxy.restore()
        self.proxy.release()

    def close(self) -> None:
        """Clean up."""
        self.give_back()
        self.recorder.close()
        self.proxy.close()


@pytest.fixture
def away(tmp_path: Path, postgres: PostgresServer) -> Iterator[Away]:
    """Return a running recorder on a database that can be taken away."""
    url = postgres.create_database()
    migrate(open_store(url, read_only=False))
    one = Away(postgres, url, tmp_path)
    one.recorder.start()
    yield one
    one.close()


def retold(opened: tuple[OpenRun, OpenProcess], acknowledged: int) -> tuple[OpenRun, OpenProcess]:
    """Return what a process says to a recorder that follows another one."""
    return opened[0], msgspec.structs.replace(opened[1], is_retold=True, acknowledged=acknowledged)


EXACT = (
    "SELECT count(*), count(DISTINCT seq), max(seq), (SELECT sum(count) FROM rollups WHERE period_s = 3600),"
    " (SELECT sum(stored) FROM processes) FROM records"
)


def say_and_hear(recorder: Recorder, role: str, word: OpenProcess, frame: Frame) -> None:
    """Tell a recorder of a stream and its first frame, and wait until that is durable."""
    client = Client(recorder, role=role)
    try:
        client.say(word, frame)
        found = client.hear(Ack, Unrecorded)
        assert isinstance(found, Ack), f"turned away: {found}"
        client.hear_ack(frame.number)
    finally:
        client.close()


def say_until_heard(recorder: Recorder, role: str, word: OpenProcess, frame: Frame) -> None:
    """Do so again and again, as a Locust process does whose recorder hangs up."""
    deadline = time.monotonic() + DEADLINE_S
    while True:
        try:
            say_and_hear(recorder, role, word, frame)
            return
        except (AssertionError, OSError) as error:
            if "turned away" in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.05)


class TestOutage:
    """The database goes, and with it perhaps the recorder."""

    @pytest.mark.parametrize("how", ["cut", "hold"])
    def test_nothing_is_lost_and_everybody_is_told(self, away: Away, how: str) -> None:
        """Frames are acknowledged from the spool, and are in the database after its return."""
        client = Client(away.recorder)
        client.say(*opening(), a_frame(1, records(1, 50)))
        client.hear_ack(1)
        away.take(how)
        client.say(a_frame(2, records(51, 50)), a_frame(3, records(101, 50)))
        client.hear_ack(3)
        assert "does not answer" in client.hear(Notice).message
        assert away.recorder.spool.is_file()
        away.give_back()
        assert "is back" in client.hear(Notice).message
        client.say(a_frame(4, records(151, 50)))
        client.hear_ack(4)
        away.recorder.await_rows(EXACT, [(200, 200, 200, 200, 200)])
        assert not away.recorder.spool.exists()

    @pytest.mark.parametrize(("acknowledged", "how"), [(1, "cut"), (2, "hold")])
    def test_a_recorder_that_dies_meanwhile_is_followed_by_another(
        self, away: Away, how: str, acknowledged: int
    ) -> None:
        """What the spool has is not asked for again, whatever the process has heard of it."""
        client, opened = Client(away.recorder), opening()
        client.say(*opened, a_frame(1, records(1, 50)))
        client.hear_ack(1)
        away.take(how)
        client.say(a_frame(2, records(51, 50)))
        client.hear_ack(2)
        away.recorder.kill()
        away.recorder.start()
        again = Client(away.recorder, is_back=True)
        again.hear(Welcome)
        again.say(*retold(opened, acknowledged))
        frames = {2: a_frame(2, records(51, 50)), 3: a_frame(3, records(101, 50))}
        again.say(*(frames[number] for number in range(acknowledged + 1, 4)))
        again.hear_ack(3)
        away.give_back()
        away.recorder.await_rows(EXACT, [(150, 150, 150, 150, 150)])

    @pytest.mark.parametrize("known", [1, 2, 3])
    def test_what_only_the_database_knows_is_not_stored_twice(self, away: Away, known: int) -> None:
        """The last acknowledgements were lost with the recorder: the process tells more than is missing."""
        client, opened = Client(away.recorder), opening()
        frames = [a_frame(number, records(number * 10 - 9, 10)) for number in range(1, 6)]
        for number in (1, 2, 3):
            client.say(*(opened if number == 1 else ()), frames[number - 1])
            client.hear_ack(number)
        away.take("cut")
        away.recorder.kill()
        away.recorder.start()
        again = Client(away.recorder, is_back=True)
        again.say(*retold(opened, known), *frames[known:])
        again.hear_ack(5)
        away.give_back()
        away.recorder.await_rows(EXACT, [(50, 50, 50, 50, 50)])

    def test_a_run_that_begins_and_ends_meanwhile_gets_its_verdict(self, away: Away) -> None:
        """After the return: opened, balanced, judged."""
        client = Client(away.recorder)
        client.hear(Welcome)
        away.take("cut")
        client.say(*opening(), a_frame(1, records(1, 60)), CloseProcess("p-1", 2, 60, {}, time.time()))
        client.hear_ack(2)
        client.say(StopRun("run-1", time.time(), 0))
        away.give_back()
        assert RunOpened("run-1") == client.hear(RunOpened)
        assert "produced 60 · stored 60 · balanced" in client.hear(VerdictReached).text
        away.recorder.await_rows("SELECT state FROM runs", [("completed",)])
        client.close()
        assert 0 == away.recorder.end()

    def test_a_worker_that_comes_meanwhile_waits(self, away: Away) -> None:
        """Its run may well be in the database: it is not turned away, and recorded after the return."""
        owner = Client(away.recorder, role="master")
        owner.say(*opening(process="m", role="master"))
        owner.hear(RunOpened)
        away.take("cut")
        away.recorder.kill()
        away.recorder.start()
        words = (opening(process="w", role="worker")[1], a_frame(1, records(1, 9), process="w"))
        with pytest.raises(AssertionError, match="hung up"):  # it shall come again, not go on unrecorded
            say_and_hear(away.recorder, "worker", *words)
        away.give_back()
        say_until_heard(away.recorder, "worker", *words)
        away.recorder.await_rows("SELECT process, stored FROM processes WHERE role = 'worker'", [("w", 9)])

    @pytest.mark.parametrize("how", ["cut", "hold"])
    def test_at_the_start_it_is_refused(self, away: Away, how: str) -> None:
        """Before the first request, with the exit code of infrastructure and without a long wait."""
        away.take(how)
        refused = Client(away.recorder).hear(Refused)
        assert 4 == refused.exit_code
        assert "database" in refused.message

    def test_what_another_recorder_left_behind_is_stored_first(self, away: Away) -> None:
        """The run of a worker's host too, where no owner ever opens the database."""
        client, opened = Client(away.recorder, role="master"), opening(role="master")
        client.say(*opened, a_frame(1, records(1, 10)))
        client.hear_ack(1)
        away.take("cut")
        client.say(a_frame(2, records(11, 10)))
        client.hear_ack(2)
        away.recorder.kill()
        away.give_back()
        away.recorder.start()
        words = (opening(process="w", role="worker")[1], a_frame(1, records(1, 5), process="w"))
        say_until_heard(away.recorder, "worker", *words)
        away.recorder.await_rows("SELECT process, stored FROM processes ORDER BY 1", [("p-1", 20), ("w", 5)])
