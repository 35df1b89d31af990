"""Which keys are stored."""

from __future__ import annotations

from contextlib import closing

import pytest
from batches import RUN, Feed, full, lean, open_streams, opened_writer
from sqlalchemy import select

from streamlab_plugin.store import tables
from streamlab_plugin.store.engine import open_store
from streamlab_plugin.store.key_queries import KeyPath, stored_keys


@pytest.fixture
def two_runs(database_url: str) -> str:
    """A database with two runs that have stored different keys."""
    open_streams(database_url, "p-2", run="run-2")
    with closing(opened_writer(database_url, "p-1")) as writer:
        feed, other = Feed("p-1"), Feed("p-2")
        keys = feed.keys
        shape = keys.shape('["at","in"]')
        rows = [
            lean(keys, 1, "/a", payload="[1]"),
            lean(keys, 2, "/a", payload='["{"]'),
            lean(keys, 3, "/b", shape=shape, payload='[1,{"x":[{"y":1},{"y":2,"z":3}],"w":null}]'),
            lean(keys, 4, "/b", shape=shape, payload="[1,[2,3]]"),
            lean(keys, 5, "/b", shape=None, payload=None),
        ]
        writer.write([feed.write([full(keys, 6, "/a")], rows)])
        writer.write([other.write([], [lean(other.keys, 1, "/c", shape=other.keys.shape('["k"]'))])])
    return database_url


class TestStoredKeys:
    """`stored_keys`."""

    def test_all(self, two_runs: str) -> None:
        """Every field of every endpoint with the records that have it, inner ones by their path."""
        with open_store(two_runs, read_only=True).connect() as conn:
            found = {endpoint: dict(counts) for endpoint, counts in stored_keys(conn).items()}
        inner: dict[KeyPath, int] = {
            ("at",): 2, ("in",): 1, ("in", "x", "[]", "y"): 1, ("in", "x", "[]", "z"): 1, ("in", "w"): 1,
        }  # fmt: skip
        assert {"/a": {("a",): 3}, "/b": inner, "/c": {("k",): 1}} == found

    def test_one_run(self, two_runs: str) -> None:
        """Another run's keys are not counted."""
        with open_store(two_runs, read_only=True).connect() as conn:
            run_id = conn.scalar(select(tables.runs.c.id).where(tables.runs.c.run != RUN))
            assert {"/c": {("k",): 1}} == {name: dict(one) for name, one in stored_keys(conn, run_id).items()}
