"""What Locust processes say to a recorder, and what it knows of their runs and streams.

Every opening word may be repeated: a client tells everything again after it has lost its connection.
"""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

from sqlalchemy.exc import SQLAlchemyError

from streamlab_plugin.core.errors import EXIT_INFRASTRUCTURE, StreamlabError
from streamlab_plugin.link.message import (
    LINK_VERSION,
    Ack,
    CloseProcess,
    Frame,
    Hello,
    OpenProcess,
    OpenRun,
    Refused,
    RunOpened,
    StopRun,
    Unrecorded,
    Uplink,
    Welcome,
)
from streamlab_plugin.link.server import Connection
from streamlab_plugin.privacy.pseudonym import Pseudonyms, key_id, load_key
from streamlab_plugin.recorder.run import Run, make_run
from streamlab_plugin.recorder.stream import Stream
from streamlab_plugin.recorder.watch import Watch
from streamlab_plugin.store import run_writer
from streamlab_plugin.store.engine import open_store
from streamlab_plugin.store.migrate import has_schema, migrate
from streamlab_plugin.store.writer import Writer

DATABASE_ERRORS = (SQLAlchemyError, sqlite3.Error)


class Desk:
    """Hear the Locust processes of one host and one database.

    Args:
        database_url: Where records go.
        key_file: The pseudonym key, made on first use.
    """

    def __init__(self, database_url: str, key_file: Path) -> None:
        self.writer: Writer | None = None
        self.runs: dict[str, Run] = {}
        self.streams: dict[str, Stream] = {}
        self.watches: dict[str, Watch] = {}
        self.homes: dict[str, Connection] = {}  # process -> where its acknowledgements go
        self._database_url = database_url
        self._key_file = key_file
        self._pseudonyms: Pseudonyms | None = None
        self._key_id = ""
        self._hear: dict[type[Uplink], Callable[..., None]] = {
            Hello: self._hello,
            OpenRun: self._open_run,
            OpenProcess: self._open_process,
            Frame: self._frame,
            CloseProcess: self._close_process,
            StopRun: self._stop_run,
        }

    @property
    def held(self) -> int:
        """Rows that wait for the next write."""
        return sum(stream.held for stream in self.streams.values())

    @property
    def owned(self) -> list[Run]:
        """Runs that this recorder still has to bring to an end."""
        return [run for run in self.runs.values() if run.stopped_at is not None or run.owner_left_at]

    def forget(self, name: str) -> None:
        """Let go of a run that has ended."""
        self.watches.pop(name, None)
        run = self.runs.pop(name)
        for process in run.streams:
            self.streams.pop(process, None)
            self.homes.pop(process, None)

    def hear(self, connection: Connection, message: Uplink) -> None:
        """Act on a message; what goes wrong is answered in one line."""
        try:
            self._hear[type(message)](connection, message)
        except StreamlabError as error:
            connection.send(Refused(str(error), error.exit_code))
        except DATABASE_ERRORS as error:
            connection.send(Refused(f"the database cannot be used: {reason(error)}", EXIT_INFRASTRUCTURE))
            # Hanging up makes the client tell everything again, once it has reconnected.
            connection.is_open = False

    def _hello(self, connection: Connection, message: Hello) -> None:
        if message.version != LINK_VERSION:
            connection.send(
                Refused(
                    f"a recorder with link version {LINK_VERSION} serves this database, this Locust process "
                    f"has {message.version}; wait until the other test has ended, or use one version",
                    EXIT_INFRASTRUCTURE,
                )
            )
            return
        # Workers may come first; the schema is the owner's business, and nobody writes before it is there.
        if message.role != "worker" and self.writer is None:
            migrate(open_store(self._database_url, read_only=False))
            self.ready()
        connection.send(Welcome(LINK_VERSION, os.getpid()))

    def ready(self) -> tuple[Writer, Pseudonyms]:
        """Return the writer and the pseudonyms, opening database and key on first use."""
        if self.writer is None or self._pseudonyms is None:
            key = load_key(self._key_file)
            self._pseudonyms, self._key_id = Pseudonyms(key), key_id(key)
            self.writer = Writer(open_store(self._database_url, read_only=False))
        return self.writer, self._pseudonyms

    def _open_run(self, connection: Connection, message: OpenRun) -> None:
        writer, _pseudonyms = self.ready()
        known = self.runs.get(message.run)
        if known is None:
            body = message.settings.decode()
            values = {
                "run": message.run, "name": message.name, "run_day": int(message.started_at // 86_400),
                "started_at": message.started_at, "key_id": self._key_id, "host": message.host,
                "locustfile": message.locustfile, "expected_workers": message.expected_workers,
                "versions": json.dumps(message.versions, sort_keys=True),
            }  # fmt: skip
            settings_hash = hashlib.sha256(message.settings).hexdigest()[:16]
            run_writer.open_run(writer.connection, values, settings_hash, body)
            known = self._find_run(message.run)
            assert known is not None, "it was stored just now"
        known.owner, known.owner_left_at = connection, None
        known.expected_workers = message.expected_workers
        connection.send(RunOpened(message.run))

    def _find_run(self, run: str) -> Run | None:
        known = self.runs.get(run)
        if known is None:
            row = run_writer.find_run(self.ready()[0].connection, run)
            if row is not None:
                known = self.runs[run] = make_run(row)
        return known

    def _open_process(self, connection: Connection, message: OpenProcess) -> None:
        if self.writer is None and not has_schema(self._database_url):
            connection.send(Unrecorded(message.process, _elsewhere(message.run)))
            return
        writer, pseudonyms = self.ready()
        self.homes[message.process] = connection
        if known := self.streams.get(message.process):
            connection.send(Ack(message.process, known.stored_frame))
            return
        run = self._find_run(message.run)
        if run is None:
            connection.send(Unrecorded(message.process, _elsewhere(message.run)))
            return
        if run.row.key_id != self._key_id:
            run.problems.append(
                "a recorder used another pseudonym key; set the same STREAMLAB_KEY_FILE everywhere"
            )
        row = run_writer.open_process(
            writer.connection, run.row.id, message.process, message.role, message.pid, message.opened_at
        )
        connection.send(Ack(message.process, row.last_frame))
        process_id = row.id
        stream = Stream(
            run, message.process, row, pseudonyms, lambda *name: writer.load_rollup(process_id, *name)
        )
        run.streams[message.process] = self.streams[message.process] = stream
        if run.owner is connection:
            self.watches.setdefault(message.run, Watch(run, writer.connection, row.id))

    def _frame(self, _connection: Connection, message: Frame) -> None:
        stream = self.streams.get(message.process)
        if stream is not None:
            stream.receive(message)

    def _close_process(self, _connection: Connection, message: CloseProcess) -> None:
        stream = self.streams.get(message.process)
        if stream is not None:
            stream.close(message)

    def _stop_run(self, _connection: Connection, message: StopRun) -> None:
        run = self.runs.get(message.run)
        if run is not None and run.stopped_at is None:
            run.stopped_at, run.stop_heard_at = message.stopped_at, time.monotonic()
            run.expected_workers = message.expected_workers
            run_writer.stop_run(
                self.ready()[0].connection, run.row.id, message.stopped_at, message.expected_workers
            )

    def lose(self, connection: Connection) -> None:
        """A Locust process hung up; a stream that it did not close will never be complete."""
        for process in [name for name, home in self.homes.items() if home is connection]:
            del self.homes[process]
            stream = self.streams.get(process)
            if stream is not None and not stream.is_closed:
                try:
                    self.ready()[0].mark_lost(stream.process_id)
                except DATABASE_ERRORS:
                    pass  # it stays open, and the verdict says that it did not end
        for run in self.runs.values():
            if run.owner is connection:
                run.owner = None
                run.owner_left_at = time.monotonic() if run.stopped_at is None else None


def _elsewhere(run: str) -> str:
    return (
        f"run {run} is not in this recorder's database; master and workers must use the same one, "
        "and a SQLite file serves one host only"
    )


def reason(error: Exception) -> str:
    """Return the driver's own text of a database error."""
    return str(getattr(error, "orig", None) or error)
