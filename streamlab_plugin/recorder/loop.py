"""The recorder's main loop: hear Locust processes, write batches, watch owned runs, end when alone."""

from __future__ import annotations

import hashlib
import json
import logging
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
    Notice,
    OpenProcess,
    OpenRun,
    Refused,
    RunOpened,
    StopRun,
    Unrecorded,
    Uplink,
    VerdictReached,
    Welcome,
)
from streamlab_plugin.link.server import Connection, Server
from streamlab_plugin.privacy.pseudonym import Pseudonyms, key_id, load_key
from streamlab_plugin.recorder.finalise import finalise, may_finalise
from streamlab_plugin.recorder.run import Run, make_run
from streamlab_plugin.recorder.stream import Stream
from streamlab_plugin.recorder.watch import Watch, due
from streamlab_plugin.store import run_writer
from streamlab_plugin.store.batch import StreamWrite
from streamlab_plugin.store.engine import open_store
from streamlab_plugin.store.migrate import has_schema, migrate
from streamlab_plugin.store.writer import Writer

logger = logging.getLogger(__name__)

WRITE_EVERY_S = 0.1
WRITE_ROWS = 5_000
WATCH_EVERY_S = 1.0
# Alone this long, with everything written: the recorder ends.
LINGER_S = 1.0
# An owner that hung up may only have lost its connection.
ABORT_AFTER_S = 3.0
# A database that refuses this long ends the recorder; the clients still hold what is not acknowledged.
GIVE_UP_S = 60.0
DATABASE_ERRORS = (SQLAlchemyError, sqlite3.Error)


class Recorder:
    """Serve the Locust processes of one host and one database.

    Args:
        server: Where they connect.
        database_url: Where records go.
        key_file: The pseudonym key, made on first use.
    """

    def __init__(self, server: Server, database_url: str, key_file: Path) -> None:
        self._server = server
        self._database_url = database_url
        self._key_file = key_file
        self._writer: Writer | None = None
        self._pseudonyms: Pseudonyms | None = None
        self._key_id = ""
        self._runs: dict[str, Run] = {}
        self._streams: dict[str, Stream] = {}
        self._watches: dict[str, Watch] = {}
        self._homes: dict[str, Connection] = {}  # process -> where its acknowledgements go
        self._pending: list[StreamWrite] = []
        self._written_at = self._watched_at = self._busy_at = time.monotonic()
        self._failing_since: float | None = None
        self._hear: dict[type[Uplink], Callable[..., None]] = {
            Hello: self._hello,
            OpenRun: self._open_run,
            OpenProcess: self._open_process,
            Frame: self._frame,
            CloseProcess: self._close_process,
            StopRun: self._stop_run,
        }

    def serve(self) -> int:
        """Run until the last client has gone and everything is written; return the process's exit code."""
        while True:
            if self._failing_since is None:
                for connection, message in self._server.poll(WRITE_EVERY_S / 2):
                    if message is None:
                        self._lost(connection)
                    else:
                        self._dispatch(connection, message)
                    if self._held() >= WRITE_ROWS:
                        self._write()
            else:
                time.sleep(WRITE_EVERY_S)
                if due(self._failing_since, GIVE_UP_S):
                    logger.error("the database refused for %d s; giving up", GIVE_UP_S)
                    return EXIT_INFRASTRUCTURE
            if due(self._written_at, WRITE_EVERY_S):
                self._write()
            if self._failing_since is None and due(
                self._watched_at, WRITE_EVERY_S if self._owned() else WATCH_EVERY_S
            ):
                self._watch()
            if self._server.connections:
                self._busy_at = time.monotonic()
            elif due(self._busy_at, LINGER_S) and not self._pending and not self._owned():
                return self._end()

    def _end(self) -> int:
        self._server.stop_listening()
        if self._writer is not None:
            self._writer.close()
        return 0

    # --- what the clients say -----------------------------------------------------------------------------

    def _dispatch(self, connection: Connection, message: Uplink) -> None:
        try:
            self._hear[type(message)](connection, message)
        except StreamlabError as error:
            connection.send(Refused(str(error), error.exit_code))
        except DATABASE_ERRORS as error:
            connection.send(Refused(f"the database cannot be used: {_reason(error)}", EXIT_INFRASTRUCTURE))
            # Hanging up makes the client tell everything again, once it has reconnected.
            connection.is_open = False

    def _hello(self, connection: Connection, message: Hello) -> None:
        if message.version != LINK_VERSION:
            connection.send(
                Refused(
                    f"a recorder with link version {LINK_VERSION} serves this database, this Locust process has "
                    f"{message.version}; wait until the other test has ended or use the same Streamlab version",
                    EXIT_INFRASTRUCTURE,
                )
            )
            return
        # Workers may come first; the schema is the owner's business, and nobody writes before it is there.
        if message.role != "worker" and self._writer is None:
            migrate(open_store(self._database_url, read_only=False))
            self._ready()
        connection.send(Welcome(LINK_VERSION, os.getpid()))

    def _ready(self) -> tuple[Writer, Pseudonyms]:
        """Return the writer and the pseudonyms, opening database and key on first use."""
        if self._writer is None or self._pseudonyms is None:
            key = load_key(self._key_file)
            self._pseudonyms, self._key_id = Pseudonyms(key), key_id(key)
            self._writer = Writer(open_store(self._database_url, read_only=False))
        return self._writer, self._pseudonyms

    def _open_run(self, connection: Connection, message: OpenRun) -> None:
        writer, _pseudonyms = self._ready()
        known = self._runs.get(message.run)
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
        known = self._runs.get(run)
        if known is None:
            row = run_writer.find_run(self._ready()[0].connection, run)
            if row is not None:
                known = self._runs[run] = make_run(row)
        return known

    def _open_process(self, connection: Connection, message: OpenProcess) -> None:
        if self._writer is None and not has_schema(self._database_url):
            connection.send(Unrecorded(message.process, _elsewhere(message.run)))
            return
        writer, pseudonyms = self._ready()
        self._homes[message.process] = connection
        if known := self._streams.get(message.process):
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
        run.streams[message.process] = self._streams[message.process] = stream
        if run.owner is connection:
            self._watches.setdefault(message.run, Watch(run, writer.connection, row.id))

    def _frame(self, _connection: Connection, message: Frame) -> None:
        stream = self._streams.get(message.process)
        if stream is not None:
            stream.receive(message)

    def _close_process(self, _connection: Connection, message: CloseProcess) -> None:
        stream = self._streams.get(message.process)
        if stream is not None:
            stream.close(message)

    def _stop_run(self, _connection: Connection, message: StopRun) -> None:
        run = self._runs.get(message.run)
        if run is not None and run.stopped_at is None:
            run.stopped_at, run.stop_heard_at = message.stopped_at, time.monotonic()
            run.expected_workers = message.expected_workers
            run_writer.stop_run(
                self._ready()[0].connection, run.row.id, message.stopped_at, message.expected_workers
            )

    def _lost(self, connection: Connection) -> None:
        """A Locust process hung up; a stream that it did not close will never be complete."""
        self._write()
        for process in [name for name, home in self._homes.items() if home is connection]:
            del self._homes[process]
            stream = self._streams.get(process)
            if stream is not None and not stream.is_closed:
                self._ready()[0].mark_lost(stream.process_id)
        for run in self._runs.values():
            if run.owner is connection:
                run.owner = None
                run.owner_left_at = time.monotonic() if run.stopped_at is None else None

    # --- what happens by the clock ------------------------------------------------------------------------

    def _owned(self) -> list[Run]:
        """Runs that this recorder still has to bring to an end."""
        return [run for run in self._runs.values() if run.stopped_at is not None or run.owner_left_at]

    def _held(self) -> int:
        return sum(stream.held for stream in self._streams.values())

    def _write(self) -> None:
        self._written_at = time.monotonic()
        if self._writer is None:
            return
        try:
            if not self._pending:
                for stream in self._streams.values():
                    if write := stream.take():
                        self._pending.append(write)
            if self._pending:
                self._writer.write(self._pending)
        except DATABASE_ERRORS as error:
            self._failed(error)
            return
        self._failing_since = None
        written, self._pending = {write.process_id: write for write in self._pending}, []
        for process, stream in list(self._streams.items()):
            write = written.get(stream.process_id)
            if write is None:
                continue
            stream.stored_frame = write.last_frame
            if home := self._homes.get(process):
                home.send(Ack(process, write.last_frame))
            if write.closed_at is not None:
                del self._streams[process]

    def _failed(self, error: Exception) -> None:
        if self._failing_since is None:
            self._failing_since = time.monotonic()
            text = f"the database cannot be written ({_reason(error)}); records are kept and tried again"
            logger.error(text)
            for home in set(self._homes.values()):
                home.send(Notice(text))

    def _watch(self) -> None:
        self._watched_at = time.monotonic()
        for name, run in list(self._runs.items()):
            try:
                self._watch_run(name, run)
            except DATABASE_ERRORS as error:
                self._failed(error)
            except Exception:  # the loop must outlive a mistake in one detector
                logger.exception("run %s could not be watched", name)

    def _watch_run(self, name: str, run: Run) -> None:
        connection = self._ready()[0].connection
        watch = self._watches.get(name)
        if run.owner_left_at is not None:
            if due(run.owner_left_at, ABORT_AFTER_S):
                self._abort(name, run)
        elif run.stopped_at is None:
            if watch is not None:
                watch.step(time.time())
        elif may_finalise(run, connection):
            self._write()
            if watch is not None:
                watch.step(max(time.time(), run.stopped_at), is_last=True)
            exit_code, text = finalise(run, connection)
            if run.owner is not None:
                run.owner.send(VerdictReached(run.row.run, exit_code, text))
            self._forget(name)

    def _abort(self, name: str, run: Run) -> None:
        """The owner vanished in mid-run: nobody will say when it stopped."""
        if any(stream.run is run for stream in self._streams.values() if stream.process in self._homes):
            return  # its workers are still sending
        connection = self._ready()[0].connection
        if watch := self._watches.get(name):
            watch.step(time.time(), is_last=True)
        run_writer.finish_run(connection, run.row.id, state="aborted", stopped_at=time.time(), verdict=None)
        self._forget(name)

    def _forget(self, name: str) -> None:
        self._watches.pop(name, None)
        run = self._runs.pop(name)
        for process in run.streams:
            self._streams.pop(process, None)
            self._homes.pop(process, None)


def _elsewhere(run: str) -> str:
    return (
        f"run {run} is not in this recorder's database; master and workers must use the same one, and a SQLite "
        "file serves one host only"
    )


def _reason(error: Exception) -> str:
    return str(getattr(error, "orig", None) or error)
