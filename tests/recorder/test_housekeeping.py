"""Upkeep gives way to an order that must be alone, and goes on afterwards."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from recorder_process import wait_until
from sqlalchemy import text
from subjects import build

from streamlab_plugin.recorder.desk import Desk
from streamlab_plugin.recorder.housekeeping import Housekeeping
from streamlab_plugin.recorder.storage import Storage
from streamlab_plugin.store.cleanup import alone
from streamlab_plugin.store.engine import open_store
from streamlab_plugin.store.spool import Spool


@pytest.fixture
def storage(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Storage]:
    """A database with a cleanup that an earlier recorder has left half done."""
    monkeypatch.setenv("STREAMLAB_ARCHIVE_DIR", str(tmp_path / "archive"))
    build(database_url, tmp_path / "archive", tmp_path / "other.spool")
    with open_store(database_url, read_only=False).begin() as connection:
        connection.execute(text("UPDATE retention SET last_run_at = 0"))
    with closing(Storage(database_url, Spool(tmp_path / "x.spool"), lambda _text: None)) as storage:
        storage.open()
        yield storage


class TestAbandon:
    """`Housekeeping.abandon`."""

    @pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
    def test_a_cleanup_lets_go(self, storage: Storage, database_url: str, tmp_path: Path) -> None:
        """Its locks are free at once; the next look goes on where it was, to the same end."""
        housekeeping = Housekeeping(Desk(storage, database_url, tmp_path / "key"), storage)
        steps = 0

        def is_at_work() -> bool:
            nonlocal steps
            housekeeping.step()
            steps += not housekeeping.is_done
            return steps > 4

        wait_until(is_at_work, lambda: "no cleanup began")
        with pytest.raises(BlockingIOError), alone(tmp_path / "archive"):
            pass
        housekeeping.abandon()
        assert housekeeping.is_done
        with alone(tmp_path / "archive"):
            assert not storage.open().connection.in_transaction()

        def is_over() -> bool:
            housekeeping.step()
            with storage.open().connection.begin():
                last = storage.open().connection.scalar(text("SELECT max(last_run_at) FROM retention"))
            return float(last or 0) > time.time() - 3_600

        wait_until(is_over, lambda: "the cleanup never came to its end")
        assert not list((tmp_path / "archive").rglob("*.part"))
