"""A subject is erased by order, whoever records meanwhile and whatever becomes of the recorder."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from recorder_process import Client, Recorder, a_frame, opening, records, wait_until
from subjects import SUBJECTS

from streamlab_plugin.core.errors import InfrastructureError
from streamlab_plugin.link.message import CloseProcess, RunOpened, StopRun, VerdictReached
from streamlab_plugin.link.order import OrderRefusedError, order
from streamlab_plugin.privacy.keyring import Keyring
from streamlab_plugin.privacy.subject import Subject, pseudonyms_of
from streamlab_plugin.store.cleanup import alone

Ask = Callable[..., dict[str, Any]]


@pytest.fixture
def recorder(tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Recorder]:
    """Return a recorder that does not run yet; its archives lie beside the database."""
    monkeypatch.setenv("STREAMLAB_ARCHIVE_DIR", str(tmp_path / "archive"))
    one = Recorder(tmp_path, database_url)
    yield one
    one.close()


@pytest.fixture
def ask(recorder: Recorder) -> Ask:
    """Return a function that has an order carried out."""

    def start() -> None:
        if not recorder.is_running:
            recorder.start()

    def carry_out(name: str, **arguments: Any) -> dict[str, Any]:
        return order(recorder.path, start, name, arguments, lambda _text: None)

    return carry_out


def record_run(recorder: Recorder, run: str, count: int = 500) -> None:
    """Record a run of one process to its end: every record another subject's."""
    if not recorder.is_running:
        recorder.start()
    client, process = Client(recorder), f"{run}-p"
    client.say(*opening(run, process))
    client.hear(RunOpened)
    held = [
        one._replace(payload=f'{{"user_id":"{SUBJECTS[one.seq % 10]}","status":"ok"}}'.encode())
        for one in records(1, count)
    ]
    now = time.time()
    client.say(a_frame(1, held, process), CloseProcess(process, 2, count, {}, now), StopRun(run, now, 0))
    client.hear_ack(2)
    client.hear(VerdictReached)
    client.close()


def names_of(recorder: Recorder, subject: int) -> list[str]:
    """Return the pseudonyms of a subject under the keys of the recorder."""
    by_key = pseudonyms_of(SUBJECTS[subject], Keyring(recorder.folder / "key"))
    return [one for some in by_key.values() for one in some]


def bytes_of(recorder: Recorder) -> bytes:
    """Return what the files of a SQLite database, its archives aside, consist of."""
    return b"".join(path.read_bytes() for path in recorder.folder.glob("streamlab.db*"))


class TestErase:
    """The orders `privacy.erase` and `privacy.resume`."""

    def test_two_epochs(self, recorder: Recorder, ask: Ask) -> None:
        """S002-68, S002-113: of 1,000 records under two keys the subject's 100 go, down to the bytes."""
        record_run(recorder, "run-0")
        Keyring(recorder.folder / "key").rotate(keep=True)
        record_run(recorder, "run-1")
        names = names_of(recorder, 3)
        assert 2 == len(set(names))
        counted = ask("privacy.erase", pseudonyms=names, actor="ann", dry_run=True)
        assert ({"records": 100}, []) == (counted["counts"], counted["skipped"])
        assert [(1_000,)] == recorder.query("SELECT count(*) FROM records")
        receipt = ask("privacy.erase", pseudonyms=names, actor="ann", dry_run=False)
        assert ("finished", {"records": 100}, 100) == (
            receipt["state"], receipt["counts"], receipt["erased_now"],
        )  # fmt: skip
        assert [(900,)] == recorder.query("SELECT count(*) FROM records")
        assert [(1_000, 100)] == recorder.query("SELECT sum(stored), sum(erased) FROM processes")
        assert [(None, None)] == recorder.query("SELECT pseudonyms, pending FROM erasures")
        assert 0 == recorder.end()
        if recorder.url.startswith("sqlite"):
            content = bytes_of(recorder)
            assert not Subject(names).may_be_in(content)
            assert all(name.encode() in content for name in names_of(recorder, 4))

    @pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
    def test_while_another_test_is_recorded(self, recorder: Recorder, ask: Ask) -> None:
        """What was sent before the order is found; what comes later is new data, and is stored."""
        record_run(recorder, "run-0", 100)
        client = Client(recorder)
        client.say(*opening())
        client.hear(RunOpened)
        about = {"payload": f'{{"user_id":"{SUBJECTS[3]}"}}'.encode()}
        client.say(a_frame(1, records(1, 50, **about)))
        client.hear_ack(1)
        names = names_of(recorder, 3)
        receipt = ask("privacy.erase", pseudonyms=names, actor="ann", dry_run=False)
        assert 60 == receipt["counts"]["records"]
        now = time.time()
        client.say(a_frame(2, records(51, 10)), CloseProcess("p-1", 3, 60, {}, now), StopRun("run-1", now, 0))
        client.hear(VerdictReached)
        assert [(10, 60, 50)] == recorder.query(
            "SELECT (SELECT count(*) FROM records WHERE process_id = p.id), stored, erased FROM processes p"
            " WHERE process = 'p-1'"
        )
        assert receipt["state"] == "finished" or "while a test is recorded" in receipt["skipped"][0]
        client.close()
        (last,) = ask("privacy.resume")["erasures"] or [receipt]
        assert ("finished", 60) == (last["state"], last["counts"]["records"])

    @pytest.mark.parametrize(
        "database_url", ["sqlite", pytest.param("postgresql", marks=pytest.mark.faults)], indirect=True
    )
    def test_the_recorder_is_killed(self, recorder: Recorder, ask: Ask) -> None:
        """Whoever comes next takes the erasure up, and the receipt counts what both did."""
        record_run(recorder, "run-0", 2_000)
        for subject in range(10):
            names = names_of(recorder, subject)
            with pytest.raises(InfrastructureError, match="ended before it had answered"):
                order(recorder.path, lambda: None, "privacy.erase",
                      {"pseudonyms": names, "actor": "ann", "dry_run": False}, _killer(recorder))  # fmt: skip
            states = recorder.query("SELECT state FROM erasures ORDER BY id DESC LIMIT 1")
            receipts = ask("privacy.resume")["erasures"]
            if states == [("unfinished",)]:
                break
        (receipt,) = receipts
        assert ("finished", {"records": 200}) == (receipt["state"], receipt["counts"])
        assert [(200 * (9 - subject),)] == recorder.query("SELECT count(*) FROM records")
        assert {"erasures": []} == ask("privacy.resume")

    @pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
    def test_a_cleanup_by_somebody_else(self, recorder: Recorder, ask: Ask, tmp_path: Path) -> None:
        """Archives that are being written are not searched: the order is refused, to be given again."""
        record_run(recorder, "run-0", 10)
        with (
            alone(tmp_path / "archive"),
            pytest.raises(OrderRefusedError, match="a cleanup is going on") as caught,
        ):
            ask("privacy.erase", pseudonyms=["A" * 22], actor="ann", dry_run=False)
        assert 4 == caught.value.exit_code
        assert 1 == len(ask("privacy.resume")["erasures"])


def _killer(recorder: Recorder) -> Callable[[str], None]:
    """Return what kills the recorder with its first word about an erasure."""

    def kill(_text: str) -> None:
        wait_until(
            lambda: recorder.query("SELECT 1 FROM erasures WHERE state = 'unfinished'"), lambda: recorder.log
        )
        recorder.kill()

    return kill
