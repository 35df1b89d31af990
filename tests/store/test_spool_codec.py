"""A batch comes back from the spool as it went in."""

from __future__ import annotations

from typing import Any

import numpy as np
from batches import FULL, LEAN, Feed, Keys
from hypothesis import given, settings
from hypothesis import strategies as st

from streamlab_plugin.store.batch import Delta, Key, StreamWrite
from streamlab_plugin.store.spool_codec import decode, encode, pack, unpack

KEYS = Keys()
texts = st.text(st.characters(blacklist_categories=["Cs"]), max_size=20)
numbers = st.integers(-(2**63), 2**64 - 1)
floats = st.floats(allow_nan=False)
series = st.sampled_from([KEYS.series("/a"), KEYS.series("/ä"), KEYS.series("/" + "x" * 300)])
shapes = st.none() | st.sampled_from([KEYS.shape(), KEYS.shape('["b","\U0001f600"]')])
errors = st.none() | st.sampled_from([KEYS.error(), KEYS.error("\x00")])
# By column, as the recorder makes them.
columns: dict[str, Any] = {
    "seq": numbers, "series": series, "started_at": floats, "scheduled_at": st.none() | floats,
    "latency_ms": st.none() | floats, "wait_ms": st.none() | floats, "size_bytes": numbers, "shape": shapes,
    "payload": st.none() | texts, "outcome": st.integers(0, 3), "status": st.none() | numbers,
    "error": errors, "correlation_id": st.none() | texts, "stream": st.none() | texts,
    "stream_seq": st.none() | numbers, "fault": st.none() | texts, "findings": st.none() | texts,
}  # fmt: skip
rows = st.lists(st.tuples(*(columns[name] for name in FULL)), max_size=4)
lean_rows = st.lists(st.tuples(*(columns[name] for name in LEAN)), max_size=4)
counts = st.dictionaries(texts, st.integers(0, 2**40), max_size=3)
latencies = st.lists(st.floats(width=32, allow_nan=False), max_size=5)
deltas = st.lists(
    st.builds(
        lambda second, key, count, values, responses: Delta(
            second, key, count, 1, 2, 3, 4, 5, np.asarray(values, dtype=np.float32), 0.5,
            min(values, default=None), max(values, default=None),
            None if responses is None else np.asarray(responses, dtype=np.float32),
        ),
        st.integers(0, 2**31), series, st.integers(0, 2**40), latencies, st.none() | latencies,
    ),
    max_size=3,
)  # fmt: skip
occurrences = st.lists(
    st.tuples(texts, st.integers(0, 2**31), st.integers(1, 99), floats, floats, *[texts] * 8), max_size=2
)
writes = st.builds(
    StreamWrite, process=texts, run_day=st.integers(0, 30_000), previous_frame=st.integers(0, 2**40),
    last_frame=st.integers(0, 2**40), produced=st.integers(0, 2**40), dropped=counts,
    users=st.integers(0, 10**6), seen_at=floats, quarantined=st.integers(0, 9), privacy=counts,
    closed_at=st.none() | floats, evicted=st.integers(0, 9), rows=rows, lean=lean_rows, deltas=deltas,
    occurrences=occurrences,
    gauges=st.lists(st.tuples(st.integers(0, 2**31), st.integers(0, 99)), max_size=2),
    arrivals=counts, erased=st.integers(0, 9),
)  # fmt: skip


def plain(value: Any) -> Any:
    """Return *value* with names in place of keys and lists in place of arrays."""
    if isinstance(value, Key):
        return ("key", value.kind, value.values)
    if isinstance(value, np.ndarray):
        return [float(one) for one in value]
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    return value


def parts(write: StreamWrite) -> dict[str, Any]:
    """Return everything but the list of new keys, comparable."""
    names = [name for name in StreamWrite.__slots__ if name != "keys"]
    return {name: plain(getattr(write, name)) for name in names}


class TestSpoolCodec:
    """`encode` and `decode`."""

    @settings(max_examples=150, deadline=None, derandomize=True)
    @given(writes)
    def test_a_batch_comes_back_unchanged(self, write: StreamWrite) -> None:
        """Also with nothing in its columns, any script, any number and any float."""
        assert parts(write) == parts(decode(*encode(write)))

    @settings(max_examples=50, deadline=None, derandomize=True)
    @given(writes)
    def test_without_its_records_they_are_counted(self, write: StreamWrite) -> None:
        """As evicted; everything else is there."""
        found = decode(None, encode(write)[1])
        wanted = parts(write) | {"rows": [], "lean": [], "evicted": write.evicted + write.records}
        assert wanted == parts(found)

    @settings(max_examples=50, deadline=None, derandomize=True)
    @given(writes)
    def test_unpacked_and_packed_it_is_the_same(self, write: StreamWrite) -> None:
        """Also without its records."""
        records, rest = encode(write)
        assert parts(write) == parts(decode(*pack(*unpack(records, rest))))
        assert parts(decode(None, rest)) == parts(decode(*pack(*unpack(None, rest))))

    def test_the_keys_that_are_used_go_along(self) -> None:
        """Each once, without an integer: another recorder registers them anew."""
        feed = Feed()
        write = feed.batch(9)
        for number, key in enumerate(write.keys):
            key.id = number
        write.keys = []
        found = decode(*encode(write))
        assert {None} == {key.id for key in found.keys}
        names = [(key.kind, key.values) for key in found.keys]
        assert sorted(set(names)) == sorted(names)
        assert {row[1].values[2] for row in found.lean} == {"/0", "/1"}
        assert found.lean[0][1] in found.keys
