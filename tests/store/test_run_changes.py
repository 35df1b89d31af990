"""Tags of a run and the request that it ends."""

from __future__ import annotations

import json

import pytest
from recorded import BEGAN, add_run
from sqlalchemy import Engine, select, update

from streamlab_plugin.core.errors import ConfigError
from streamlab_plugin.store import tables
from streamlab_plugin.store.engine import open_store
from streamlab_plugin.store.run_changes import request_stop, tag_run


@pytest.fixture
def engine(database_url: str) -> Engine:
    """A database with one run, open for writing."""
    engine = open_store(database_url, read_only=False)
    with engine.begin() as conn:
        add_run(conn, 1, rate=0.05)
    return engine


class TestTagRun:
    def test_set_change_remove(self, engine: Engine) -> None:
        """Tags are kept until they are changed or removed; the answer is what the run has then."""
        with engine.begin() as conn:
            assert tag_run(conn, 1, {"b": "1", "a": "x = ü"}, []) == {"a": "x = ü", "b": "1"}
            assert tag_run(conn, 1, {"c.d-e_f": ""}, ["b", "unknown"]) == {"a": "x = ü", "c.d-e_f": ""}
        with engine.connect() as conn:
            stored = conn.scalar(select(tables.runs.c.tags))
        assert json.loads(stored or "") == {"a": "x = ü", "c.d-e_f": ""}

    @pytest.mark.parametrize("name", ["", "A", "9a", "a b", "a" * 33, "ä", "a\n"])
    def test_names(self, engine: Engine, name: str) -> None:
        """A name that could not be written on a command line is refused, to set and to remove."""
        with engine.begin() as conn:
            with pytest.raises(ConfigError, match="not allowed"):
                tag_run(conn, 1, {name: "x"}, [])
            with pytest.raises(ConfigError, match="not allowed"):
                tag_run(conn, 1, {}, [name])

    @pytest.mark.parametrize("value", ["x" * 201, "a\nb", "\x1b[2J", "\u202e"])
    def test_values(self, engine: Engine, value: str) -> None:
        """So is a value that is long or cannot be printed."""
        with engine.begin() as conn, pytest.raises(ConfigError, match="value of tag 'a'"):
            tag_run(conn, 1, {"a": value}, [])

    def test_limits(self, engine: Engine) -> None:
        """32 tags of 32 and 200 characters fit, one more does not and changes nothing."""
        most = {f"a{at:031d}": "x" * 200 for at in range(32)}
        with engine.begin() as conn:
            assert most == tag_run(conn, 1, most, [])
            with pytest.raises(ConfigError, match="33 tags, at most 32"):
                tag_run(conn, 1, {"b": ""}, [])
            assert len(tag_run(conn, 1, {"b": ""}, [f"a{0:031d}"])) == 32

    def test_no_run(self, engine: Engine) -> None:
        """A run that is gone is named."""
        with engine.begin() as conn, pytest.raises(ConfigError, match="no run 99"):
            tag_run(conn, 99, {"a": "x"}, [])


class TestRequestStop:
    def stored(self, engine: Engine) -> float | None:
        with engine.connect() as conn:
            return conn.scalar(select(tables.runs.c.stop_requested_at))

    def test_running(self, engine: Engine) -> None:
        """The first request of a run that goes on is noted."""
        with engine.begin() as conn:
            conn.execute(update(tables.runs).values(state="running", stopped_at=None))
            assert request_stop(conn, 1, BEGAN + 5.0) is True
            assert request_stop(conn, 1, BEGAN + 9.0) is True
        assert self.stored(engine) == BEGAN + 5.0

    def test_over(self, engine: Engine) -> None:
        """A run that is over, or not there, cannot be stopped."""
        with engine.begin() as conn:
            assert request_stop(conn, 1, BEGAN + 5.0) is False
            assert request_stop(conn, 99, BEGAN + 5.0) is False
            conn.execute(update(tables.runs).values(state="running"))
            assert request_stop(conn, 1, BEGAN + 5.0) is False
        assert self.stored(engine) is None
