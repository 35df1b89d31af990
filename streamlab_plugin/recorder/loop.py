"""The recorder's main loop: hear Locust processes, write batches, watch owned runs, end when alone."""

from __future__ import annotations

import logging
import time
from pathlib import Path

from streamlab_plugin.core.errors import EXIT_INFRASTRUCTURE, EXIT_MET
from streamlab_plugin.link.message import Ack, Notice, VerdictReached
from streamlab_plugin.link.server import Server
from streamlab_plugin.recorder.desk import DATABASE_ERRORS, Desk, reason
from streamlab_plugin.recorder.finalise import finalise, may_finalise
from streamlab_plugin.recorder.run import Run
from streamlab_plugin.recorder.watch import due
from streamlab_plugin.store import run_writer
from streamlab_plugin.store.batch import StreamWrite

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


class Recorder:
    """Serve the Locust processes of one host and one database.

    Args:
        server: Where they connect.
        database_url: Where records go.
        key_file: The pseudonym key, made on first use.
    """

    def __init__(self, server: Server, database_url: str, key_file: Path) -> None:
        self._server = server
        self._desk = Desk(database_url, key_file)
        self._pending: list[StreamWrite] = []
        self._written_at = self._watched_at = self._busy_at = time.monotonic()
        self._failing_since: float | None = None

    def serve(self) -> int:
        """Run until the last client has gone and everything is written; return the process's exit code."""
        while True:
            if self._failing_since is None:
                for connection, message in self._server.poll(WRITE_EVERY_S / 2):
                    if message is None:
                        self._write()
                        self._desk.lose(connection)
                    else:
                        self._desk.hear(connection, message)
                    if self._desk.held >= WRITE_ROWS:
                        self._write()
            else:
                time.sleep(WRITE_EVERY_S)
                if due(self._failing_since, GIVE_UP_S):
                    logger.error("the database refused for %d s; giving up", GIVE_UP_S)
                    return EXIT_INFRASTRUCTURE
            if due(self._written_at, WRITE_EVERY_S):
                self._write()
            if self._failing_since is None and due(
                self._watched_at, WRITE_EVERY_S if self._desk.owned else WATCH_EVERY_S
            ):
                self._watch()
            if self._server.connections:
                self._busy_at = time.monotonic()
            elif due(self._busy_at, LINGER_S) and not self._pending and not self._desk.owned:
                return self._end()

    def _end(self) -> int:
        self._server.stop_listening()
        if self._desk.writer is not None:
            self._desk.writer.close()
        return EXIT_MET

    def _write(self) -> None:
        self._written_at = time.monotonic()
        if self._desk.writer is None:
            return
        try:
            if not self._pending:
                for stream in self._desk.streams.values():
                    if write := stream.take():
                        self._pending.append(write)
            if self._pending:
                self._desk.writer.write(self._pending)
        except DATABASE_ERRORS as error:
            self._failed(error)
            return
        self._failing_since = None
        written, self._pending = {write.process_id: write for write in self._pending}, []
        for process, stream in list(self._desk.streams.items()):
            write = written.get(stream.process_id)
            if write is None:
                continue
            stream.stored_frame = write.last_frame
            if home := self._desk.homes.get(process):
                home.send(Ack(process, write.last_frame))
            if write.closed_at is not None:
                del self._desk.streams[process]

    def _failed(self, error: Exception) -> None:
        if self._failing_since is None:
            self._failing_since = time.monotonic()
            text = f"the database cannot be written ({reason(error)}); records are kept and tried again"
            logger.error(text)
            for home in set(self._desk.homes.values()):
                home.send(Notice(text))

    def _watch(self) -> None:
        self._watched_at = time.monotonic()
        for name, run in list(self._desk.runs.items()):
            try:
                self._watch_run(name, run)
            except DATABASE_ERRORS as error:
                self._failed(error)
            except Exception:  # the loop must outlive a mistake in one detector
                logger.exception("run %s could not be watched", name)

    def _watch_run(self, name: str, run: Run) -> None:
        connection = self._desk.ready()[0].connection
        watch = self._desk.watches.get(name)
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
            self._desk.forget(name)

    def _abort(self, name: str, run: Run) -> None:
        """The owner vanished in mid-run: nobody will say when it stopped."""
        if any(
            stream.run is run for stream in self._desk.streams.values() if stream.process in self._desk.homes
        ):
            return  # its workers are still sending
        connection = self._desk.ready()[0].connection
        if watch := self._desk.watches.get(name):
            watch.step(time.time(), is_last=True)
        run_writer.finish_run(connection, run.row.id, state="aborted", stopped_at=time.time(), verdict=None)
        self._desk.forget(name)
