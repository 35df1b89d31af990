"""Frames become rows, counts and keys; a batch holds what came since the last one and nothing twice."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from batches import BEGIN, RUN, RUN_DAY
from recorder_process import records

from streamlab_plugin import config
from streamlab_plugin.core.record import RawRecord
from streamlab_plugin.link.message import CloseProcess, Frame
from streamlab_plugin.privacy.pseudonym import Pseudonyms, load_key
from streamlab_plugin.recorder import stream as stream_module
from streamlab_plugin.recorder.run import make_run
from streamlab_plugin.recorder.stream import Stream
from streamlab_plugin.store.batch import Row, StreamWrite
from streamlab_plugin.store.run_writer import ProcessRow, RunRow


@pytest.fixture
def stream(tmp_path: Path) -> Stream:
    """Return a new stream under the packaged settings."""
    run = make_run(RunRow(RUN, RUN_DAY, float(BEGIN), "k", config.load(environment={}).body().decode()))
    return Stream(run, "p-1", ProcessRow(0, 0, "open"), Pseudonyms(load_key(tmp_path / "key")))


def frame(number: int, held: list[RawRecord], **changes: Any) -> Frame:
    """Return a frame made at the beginning plus its number."""
    values = {"dropped": {}, "users": 3, "at": float(BEGIN + number), "unreadable": 0, **changes}
    return Frame("p-1", number, max([0, *(one.seq for one in held)]), records=held, **values)


def take(stream: Stream) -> StreamWrite:
    """Return the next batch, which must be there."""
    write = stream.take()
    assert write is not None
    return write


class TestTake:
    """`Stream.receive` and `Stream.take`."""

    def test_a_batch_holds_what_came_since_the_last_one(self, stream: Stream) -> None:
        """Rows, counts, privacy and gauges; totals are totals."""
        stream.receive(frame(1, records(1, 10), dropped={"handover_full": 1}))
        first = take(stream)
        assert stream.take() is None
        stream.receive(frame(2, records(11, 4), dropped={"handover_full": 3}, users=5))
        stream.receive(frame(3, records(15, 1), dropped={"handover_full": 3}, users=6))
        second = take(stream)
        assert (0, 1, 1, 3) == (
            first.previous_frame, first.last_frame, second.previous_frame, second.last_frame,
        )  # fmt: skip
        assert (10, 5, 15) == (first.records, second.records, second.produced)
        assert ({"handover_full": 1}, {"handover_full": 3}) == (first.dropped, second.dropped)
        assert [10, 5] == [sum(delta.requests for delta in one.deltas) for one in (first, second)]
        assert [10, 5] == [one.privacy["kept"] for one in (first, second)]
        assert [(BEGIN + 2, 5), (BEGIN + 3, 6)] == second.gauges
        assert BEGIN + 3.0 == second.seen_at

    def test_a_repeated_frame_changes_nothing(self, stream: Stream) -> None:
        """Also one of before a restart."""
        stream.receive(frame(2, records(1, 10)))
        stream.receive(frame(2, records(1, 10)))
        stream.receive(frame(1, records(1, 10)))
        assert 10 == take(stream).records
        assert stream.take() is None

    def test_a_batch_names_the_keys_until_they_are_stored(self, stream: Stream) -> None:
        """One that waits in the spool may be stored by somebody else."""
        stream.receive(frame(1, records(1, 1)))
        first = take(stream)
        stream.receive(frame(2, records(2, 1, endpoint="/b")))
        second = take(stream)
        assert {"/a", "/b"} <= {key.values[2] for key in second.keys if key.kind == "series"}
        for number, key in enumerate(second.keys):
            key.id = number
        stream.receive(frame(3, records(3, 1)))
        assert [] == take(stream).keys
        assert first.lean[0][1].id is not None

    def test_an_odd_record_costs_only_itself(self, stream: Stream) -> None:
        """It is counted as quarantined, with those that could not even be read."""
        held = [
            *records(1, 1), *records(2, 1, outcome="nonsense"), *records(3, 1, started_at=float("nan")),
            *records(4, 1, latency_ms=float("inf")), *records(5, 1, size_bytes=-1), *records(6, 1),
            *records(7, 1, wait_ms=-1.0),
        ]  # fmt: skip
        stream.receive(frame(1, held, unreadable=2))
        write = take(stream)
        assert (2, 7) == (write.records, write.quarantined)
        assert 2 == sum(delta.requests for delta in write.deltas)

    def test_a_record_counts_in_the_second_in_which_it_ended(self, stream: Stream) -> None:
        """With its latency as the sketch has it, and the sum as it came."""
        held = records(1, 1, started_at=BEGIN + 0.9, latency_ms=200.1)
        held += records(2, 1, started_at=BEGIN + 1.1, latency_ms=1.5)
        stream.receive(frame(1, held))
        (delta,) = take(stream).deltas
        assert (BEGIN + 1, 2, 1.5, 200.1) == (
            delta.second, delta.requests, delta.latency_min, delta.latency_max,
        )  # fmt: skip
        assert np.float32 == delta.latencies_ms.dtype
        assert pytest.approx(201.6) == delta.latency_sum

    def test_response_times_stand_beside_service_times(self, stream: Stream) -> None:
        """Of the same requests, from the first scheduled one in the second on; other series have none."""
        at = {"started_at": float(BEGIN), "latency_ms": 10.0}
        held = [*records(1, 1, **at), *records(2, 1, scheduled_at=BEGIN - 2.0, wait_ms=2000.0, **at)]
        held += [*records(3, 1, wait_ms=7.0, **at), *records(4, 1, endpoint="/b", wait_ms=7.0, **at)]
        stream.receive(frame(1, held, arrivals={"due": 3}))
        write = take(stream)
        first, other = write.deltas
        assert [10.0, 2010.0, 10.0] == list(first.responses_ms)
        assert [10.0, 10.0, 10.0] == list(first.latencies_ms)
        assert (None, {"due": 3}) == (other.responses_ms, write.arrivals)

    def test_only_a_record_that_says_more_has_a_full_row(self, stream: Stream) -> None:
        """The others are lean."""
        stream.receive(frame(1, [*records(1, 2), *records(3, 1, fault="f", wait_ms=0.5)]))
        write = take(stream)
        assert (2, 1) == (len(write.lean), len(write.rows))
        assert ("f", 0.5) == (Row(*write.rows[0]).fault, Row(*write.rows[0]).wait_ms)

    def test_what_a_fault_touched_is_counted_apart(self, stream: Stream) -> None:
        """Its series has the same name with a mark, so that counts and percentiles without it are exact."""
        held = [*records(1, 3, operation="GET"), *records(4, 2, operation="GET", fault="f:delay")]
        stream.receive(frame(1, held))
        counted = {delta.series.values[1]: delta.requests for delta in take(stream).deltas}
        assert {"GET": 3, "GET+fault": 2} == counted

    def test_too_many_endpoints_are_counted_as_others(
        self, stream: Stream, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A name that holds a number makes no end of series."""
        monkeypatch.setattr(stream_module, "KEYS_LIMIT", 5)
        stream.receive(frame(1, [records(number, 1, endpoint=f"/{number}")[0] for number in range(1, 21)]))
        write = take(stream)
        labels = {key.values[2] for key in write.keys if key.kind == "series"}
        assert {"(other)", "/1"} < labels
        assert 6 == len(labels)
        assert 20 == write.records

    def test_the_end_of_the_stream_is_a_batch_of_its_own(self, stream: Stream) -> None:
        """With the final totals; nothing that comes later changes them."""
        stream.receive(frame(1, records(1, 5)))
        take(stream)
        stream.close(CloseProcess("p-1", 2, 9, {"handover_full": 4}, BEGIN + 7.0))
        write = take(stream)
        assert (2, 9, {"handover_full": 4}, BEGIN + 7.0) == (
            write.last_frame, write.produced, write.dropped, write.closed_at,
        )  # fmt: skip
        stream.close(CloseProcess("p-1", 2, 10, {}, time.time()))
        assert stream.take() is None

    def test_findings_of_a_batch_are_increments(self, stream: Stream) -> None:
        """A bucket that grows comes again with what it gained."""
        slow = {"latency_ms": 60_000.0, "started_at": float(BEGIN)}
        stream.receive(frame(1, records(1, 4, **slow)))
        first = take(stream)
        stream.receive(frame(2, records(5, 3, **slow)))
        second = take(stream)
        assert first.occurrences
        counts = [{row[0]: row[2] for row in one.occurrences} for one in (first, second)]
        assert {4} == set(counts[0].values())
        assert {3} == set(counts[1].values())
