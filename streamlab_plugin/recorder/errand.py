"""Orders of commands, carried out in small steps between the recorder's other work.

Every write goes through a recorder; so do `streamlab runs tag`, `retention run` and their like.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from streamlab_plugin.core.errors import ConfigError, InfrastructureError
from streamlab_plugin.recorder import reconcile, vacuum
from streamlab_plugin.recorder.erasure import Eraser
from streamlab_plugin.store import retention, run_changes, run_writer
from streamlab_plugin.store.archive import archive_folder
from streamlab_plugin.store.engine import open_store
from streamlab_plugin.store.migrate import has_schema, schema_of
from streamlab_plugin.store.upkeep import upkeep

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from streamlab_plugin.link.message import Order
    from streamlab_plugin.recorder.desk import Desk
    from streamlab_plugin.recorder.storage import Storage

Steps = Generator[str, None, dict[str, Any]]
"""Yields a line of progress after each step and returns the result."""

REPLAY_LIMIT_S = 3600.0
QUIET_S = 60.0


class Errand:
    """One order under way.

    Args:
        desk: Whose runs are being served.
        storage: What is changed.
        order: What is wanted.
    """

    def __init__(self, desk: Desk, storage: Storage, order: Order) -> None:
        self._desk = desk
        self._storage = storage
        self._name = order.name
        self._arguments: dict[str, Any] = json.loads(order.arguments)
        self._steps: Steps | None = None
        self.result: dict[str, Any] | None = None

    @property
    def is_alone(self) -> bool:
        """Whether no cleanup may be under way beside it."""
        return self._name.startswith("privacy.")

    def step(self) -> str:
        """Do a bounded piece of work and return a line about it; at the end set ``result``.

        Raises:
            StreamlabError: the order cannot be carried out.
            DATABASE_ERRORS: the database is out of reach.
        """
        if self._steps is None:
            self._steps = self._begin()
        try:
            return next(self._steps)
        except StopIteration as done:
            self.result = done.value
            return ""

    def _begin(self) -> Steps:
        known: dict[str, Callable[..., Steps]] = {
            "db.migrate": self._migrate,
            "db.replay": self._replay,
            "db.vacuum": self._vacuum,
            "runs.stop": self._stop_run,
            "runs.tag": self._tag_run,
            "runs.reconcile": self._reconcile,
            "retention.set": self._set_retention,
            "retention.run": self._clean_up,
            "privacy.erase": self._erase,
            "privacy.resume": self._resume_erasures,
        }
        if self._name not in known:
            raise ConfigError(f"unknown order {self._name!r}")
        if self._name != "db.migrate":
            self._need_database()
        return known[self._name](**self._arguments)

    def _need_database(self) -> None:
        if self._storage.is_up:
            return
        url = self._desk.database_url
        if not has_schema(url):
            open_store(url, read_only=True).connect().close()  # says what is wrong, if it cannot be reached
            raise InfrastructureError("there is no Streamlab database yet; run a test first")
        schema = schema_of(open_store(url, read_only=True))
        if not schema.is_current:
            raise InfrastructureError(
                f"schema {schema.found} is not the one of this Streamlab ({schema.wanted}); "
                "run: streamlab db migrate"
            )
        self._storage.open()

    def _connection(self) -> Connection:
        return self._storage.open().connection

    def _key_of(self, run: str) -> int:
        key = run_writer.run_key(self._connection(), run)
        if key is None:
            raise ConfigError(f"no run {run!r} in this database", remedy="'streamlab runs list' shows them")
        return key

    def _migrate(self) -> Steps:
        before = None
        if has_schema(self._desk.database_url):
            before = schema_of(open_store(self._desk.database_url, read_only=True)).found
        self._desk.prepare_schema()
        after = schema_of(open_store(self._desk.database_url, read_only=True)).found
        yield "migrated"
        return {"from": before, "to": after}

    def _replay(self) -> Steps:
        batches, records = self._storage.spool.waiting()
        deadline = time.monotonic() + REPLAY_LIMIT_S
        while not self._storage.spool.is_empty and time.monotonic() < deadline:
            left, _records = self._storage.spool.waiting()
            yield f"{batches - left:,} of {batches:,} batches replayed"
            # The recorder's loop replays; here the order only waits for it.
        left, _records = self._storage.spool.waiting()
        yield from self._reconcile(quiet_s=QUIET_S, only_stopped=True)
        return {"batches": batches - left, "records": records, "left": left}

    def _vacuum(self) -> Steps:
        return (yield from vacuum.vacuum(self._desk.database_url, self._connection()))

    def _stop_run(self, run: str) -> Steps:
        key = self._key_of(run)
        with self._connection().begin():
            run_changes.request_stop(self._connection(), key, time.time())
        yield "asked"
        return {"run": run, "state": run_writer.state_of(self._connection(), key)}

    def _tag_run(self, run: str, set: dict[str, str], remove: list[str]) -> Steps:
        key = self._key_of(run)
        with self._connection().begin():
            tags = run_changes.tag_run(self._connection(), key, set, remove)
        yield "tagged"
        return {"run": run, "tags": tags}

    def _reconcile(self, quiet_s: float = QUIET_S, only_stopped: bool = False) -> Steps:
        found = []
        for run in reconcile.abandoned(self._connection(), time.time(), quiet_s, set(self._desk.runs)):
            if only_stopped and run.stopped_at is None:
                continue  # its frames may wait in the spool of another host
            found.append(reconcile.settle(self._connection(), run))
            yield f"run {run.run[:8]} {found[-1]['state']}"
        return {"runs": found}

    def _set_retention(self, kind: str, days: int | None, archive: bool | None, actor: str) -> Steps:
        with self._connection().begin():
            policy = retention.set_policy(self._connection(), kind, days, archive, actor)
        yield "set"
        return policy.to_dict()

    def _clean_up(self) -> Steps:
        report = yield from upkeep(self._connection(), self.archive_folder(), time.time())
        return report.to_dict()

    def _erase(self, pseudonyms: Sequence[str], actor: str, dry_run: bool) -> Steps:
        eraser = self._eraser()
        return (yield from eraser.count(pseudonyms) if dry_run else eraser.erase(pseudonyms, actor))

    def _resume_erasures(self) -> Steps:
        return (yield from self._eraser().resume())

    def _eraser(self) -> Eraser:
        return Eraser(self._desk, self._storage, self.archive_folder())

    def archive_folder(self) -> Path:
        """Return where archives of this database go."""
        return archive_folder(self._desk.database_url, os.environ)
