"""The recorder as a process: what a client sends is stored exactly once, whatever is repeated."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from streamlab_plugin import config
from streamlab_plugin.core.record import RawRecord
from streamlab_plugin.link.framing import Unframer, frame
from streamlab_plugin.link.message import (
    LINK_VERSION,
    Ack,
    CloseProcess,
    Downlink,
    Frame,
    Hello,
    OpenProcess,
    OpenRun,
    Refused,
    RunOpened,
    StopRun,
    Unrecorded,
    Uplink,
    VerdictReached,
    Welcome,
    decode_downlink,
    encode,
)


class Recorder:
    """A recorder process of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / "r.sock"
        self.database = folder / "test.db"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait for its socket."""
        environment = {
            **os.environ,
            "STREAMLAB_DATABASE_URL": f"sqlite:///{self.database}",
            "STREAMLAB_KEY_FILE": str(self.folder / "key"),
        }
        command = [sys.executable, "-m", "streamlab_plugin.recorder", "--socket", str(self.path)]
        with open(self.folder / "recorder.log", "ab") as log:
            self.process = subprocess.Popen(command, env=environment, stderr=log)

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """Read from the database."""
        with contextlib.closing(sqlite3.connect(f"file:{self.database}?mode=ro", uri=True)) as connection:
            return connection.execute(sql).fetchall()

    def end(self) -> int:
        """Wait for it to end by itself."""
        assert self.process is not None
        return self.process.wait(20)


class Client:
    """The Locust side, by hand."""

    def __init__(self, recorder: Recorder, role: str = "standalone", version: int = LINK_VERSION) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.settimeout(20)
        deadline = time.monotonic() + 20
        while True:
            try:
                self.socket.connect(str(recorder.path))
                break
            except OSError:
                assert time.monotonic() < deadline, (recorder.folder / "recorder.log").read_text()
                time.sleep(0.02)
        self.unframer = Unframer()
        self.heard: list[Downlink] = []
        self.say(Hello(version, os.getpid(), role))

    def say(self, *messages: Uplink) -> None:
        """Send messages."""
        for message in messages:
            self.socket.sendall(frame(encode(message)))

    def hear(self, kind: type[Any]) -> Any:
        """Return the next message of *kind*, remembering the others."""
        while True:
            for index, message in enumerate(self.heard):
                if isinstance(message, kind):
                    return self.heard.pop(index)
            data = self.socket.recv(65536)
            assert data, "the recorder hung up"
            self.heard += [decode_downlink(body) for body in self.unframer.feed(data)]

    def hear_ack(self, number: int) -> None:
        """Wait until everything up to *number* is on disk."""
        while self.hear(Ack).number < number:
            pass

    def close(self) -> None:
        """Hang up."""
        self.socket.close()


def records(first: int, count: int, **changes: Any) -> list[RawRecord]:
    """Return *count* records numbered from *first*."""
    plain = RawRecord(
        0, "http", "GET", "/a", "out", "App", time.time(), None, 12.5, None, 20,
        b'{"status":"ok","name":"Anna"}',
        "success", 200, None, None, "c", None, None, None,
    )  # fmt: skip
    return [plain._replace(seq=number, **changes) for number in range(first, first + count)]


def opening(
    run: str = "run-1", process: str = "p-1", role: str = "standalone"
) -> tuple[OpenRun, OpenProcess]:
    """Return the opening words of a stream."""
    now = time.time()
    return (
        OpenRun(run, "test", now, "http://t", "t.py", 0, config.load(environment={}).body(), {}),
        OpenProcess(run, process, role, os.getpid(), now),
    )


def a_frame(number: int, held: list[RawRecord], process: str = "p-1") -> Frame:
    """Return a frame whose produced total is the last number."""
    return Frame(process, number, held[-1].seq, {}, 3, time.time(), held)


@pytest.fixture
def recorder(tmp_path: Path) -> Iterator[Recorder]:
    """Return a running recorder."""
    one = Recorder(tmp_path)
    one.start()
    yield one
    if one.process is not None and one.process.poll() is None:
        one.process.kill()
        one.process.wait()


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
        assert [('{"status":"ok"}',)] == recorder.query("SELECT payload FROM records_flat")
        client.close()
        recorder.end()
        assert b"Anna" not in recorder.database.read_bytes()

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
        assert recorder.process is not None
        recorder.process.send_signal(signal.SIGKILL)
        recorder.process.wait()
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

    def test_a_worker_may_come_before_the_owner(self, recorder: Recorder) -> None:
        """The schema is made all the same."""
        worker = Client(recorder, role="worker")
        worker.hear(Welcome)
        owner = Client(recorder, role="master")
        owner.say(*opening(role="master"))
        assert RunOpened("run-1") == owner.hear(RunOpened)

    def test_a_stream_that_breaks_off_is_lost_and_the_run_has_no_verdict(self, recorder: Recorder) -> None:
        """A killed worker is noticed: inconclusive, exit 3."""
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
        assert [("degraded",)] == recorder.query("SELECT state FROM runs")

    def test_a_run_whose_owner_vanished_is_aborted(self, recorder: Recorder) -> None:
        """Nobody will say when it stopped; what it sent is there."""
        owner = Client(recorder)
        owner.say(*opening(), a_frame(1, records(1, 7)))
        owner.hear_ack(1)
        owner.close()
        recorder.end()
        assert [("aborted",)] == recorder.query("SELECT state FROM runs")
        assert [(7,)] == recorder.query("SELECT count(*) FROM records")
