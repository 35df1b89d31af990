"""Commands change the database through a recorder, which they start when there is none."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from batches import BEGIN, Feed, open_streams
from recorder_process import Client, Recorder, a_frame, opening, records

from streamlab_plugin.link.message import CloseProcess, RunOpened, StopRequested
from streamlab_plugin.link.order import OrderRefusedError, order
from streamlab_plugin.store.spool import Spool

Ask = Callable[..., dict[str, Any]]


@pytest.fixture
def recorder(tmp_path: Path, database_url: str) -> Iterator[Recorder]:
    """Return a recorder that does not run yet."""
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


class TestOrder:
    """`order`, as far as the recorder."""

    def test_it_starts_a_recorder_that_ends_by_itself(self, recorder: Recorder, ask: Ask) -> None:
        """Migrating a database that is up to date changes nothing."""
        assert {"from": "0006", "to": "0006"} == ask("db.migrate")
        assert 0 == recorder.end()

    def test_tags_of_a_run(self, recorder: Recorder, ask: Ask) -> None:
        """Set, changed and removed."""
        open_streams(recorder.url, "p-1")
        assert {"a": "1", "b": "2"} == ask("runs.tag", run="run-1", set={"a": "1", "b": "2"}, remove=[])[
            "tags"
        ]
        assert {"b": "3"} == ask("runs.tag", run="run-1", set={"b": "3"}, remove=["a"])["tags"]
        assert [('{"b": "3"}',)] == recorder.query("SELECT tags FROM runs")

    def test_a_run_that_does_not_exist_is_refused(self, ask: Ask) -> None:
        """As a usage error, with the remedy."""
        with pytest.raises(OrderRefusedError, match=r"no run 'nine'.*runs list") as caught:
            ask("runs.tag", run="nine", set={}, remove=[])
        assert 2 == caught.value.exit_code

    def test_an_unknown_order_is_refused(self, ask: Ask) -> None:
        """It names what it does not know."""
        with pytest.raises(OrderRefusedError, match=r"unknown order 'runs\.fly'"):
            ask("runs.fly")

    def test_the_owner_of_a_running_run_hears_that_it_shall_stop(self, recorder: Recorder, ask: Ask) -> None:
        """Within a look at the database."""
        recorder.start()
        owner = Client(recorder)
        owner.say(*opening())
        owner.hear(RunOpened)
        assert "running" == ask("runs.stop", run="run-1")["state"]
        assert StopRequested("run-1") == owner.hear(StopRequested)

    def test_abandoned_runs_are_ended(self, recorder: Recorder, ask: Ask) -> None:
        """One of yesterday is aborted; one that is being recorded is not."""
        open_streams(recorder.url, "p-0", run="run-0")
        recorder.start()
        owner = Client(recorder)
        owner.say(*opening(), a_frame(1, records(1, 5)))
        owner.hear_ack(1)
        found = ask("runs.reconcile")["runs"]
        # The recorder's own upkeep may have come first.
        assert [("run-0", "aborted")] == [(one["run"], one["state"]) for one in found] or not found
        recorder.await_rows(
            "SELECT run, state FROM runs ORDER BY run", [("run-0", "aborted"), ("run-1", "running")]
        )

    def test_what_a_dead_run_left_in_the_spool_is_replayed(self, recorder: Recorder, ask: Ask) -> None:
        """And the run is ended."""
        open_streams(recorder.url, "p-1")
        feed = Feed()
        spool = Spool(recorder.spool)
        spool.append([feed.batch(30), feed.batch(30)])
        spool.close()
        result = ask("db.replay")
        assert 0 == result["left"]
        assert [(60, 60)] == recorder.query("SELECT count(*), max(seq) FROM records")
        assert not recorder.spool.exists()
        recorder.await_rows("SELECT state FROM runs", [("aborted",)])

    def test_space_is_given_back(self, recorder: Recorder, ask: Ask) -> None:
        """While another process records; sizes in bytes."""
        recorder.start()
        client = Client(recorder)
        client.say(*opening(), a_frame(1, records(1, 2000)))
        client.hear_ack(1)
        result = ask("db.vacuum")
        assert 0 < result["after_bytes"] <= result["before_bytes"] + 2**20
        client.say(a_frame(2, records(2001, 10)), CloseProcess("p-1", 3, 2010, {}, time.time()))
        client.hear_ack(3)

    def test_retention_is_set_and_carried_out(self, recorder: Recorder, ask: Ask) -> None:
        """Records of a run of long ago go, and are archived first."""
        open_streams(recorder.url, "p-1")
        spool = Spool(recorder.spool)
        spool.append([Feed().batch(30, BEGIN), Feed(frame=1).write(closed_at=BEGIN + 9.0)])
        spool.close()
        ask("db.replay")
        ask("runs.reconcile", quiet_s=60)
        policy = ask("retention.set", kind="records", days=7, archive=True, actor="somebody")
        assert ("records", 7, True) == (policy["kind"], policy["days"], policy["archive"])
        ask("retention.run")
        assert [(0,)] == recorder.query("SELECT count(*) FROM records")
        assert [("records",)] == recorder.query("SELECT DISTINCT kind FROM archives")
        assert "somebody" in [actor for (actor,) in recorder.query("SELECT actor FROM audit")]

    def test_a_policy_out_of_bounds_is_refused(self, ask: Ask) -> None:
        """With the bounds."""
        with pytest.raises(OrderRefusedError, match="cannot be kept for 1000 days"):
            ask("retention.set", kind="records", days=1000, archive=None, actor="somebody")
