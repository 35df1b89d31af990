"""The recorder's main loop: hear Locust processes, keep batches, watch owned runs, end when alone."""

from __future__ import annotations

import gc
import json
import logging
import time
from pathlib import Path

from streamlab_plugin.core.errors import EXIT_INFRASTRUCTURE, EXIT_MET, StreamlabError
from streamlab_plugin.link.message import (
    Ack,
    Notice,
    OrderDone,
    Progress,
    Refused,
    StopRequested,
    VerdictReached,
)
from streamlab_plugin.link.server import Server
from streamlab_plugin.recorder.desk import ABORT_AFTER_S, Desk
from streamlab_plugin.recorder.finalise import finalise, may_finalise
from streamlab_plugin.recorder.housekeeping import Housekeeping
from streamlab_plugin.recorder.run import Run
from streamlab_plugin.recorder.storage import BEGIN_ANEW, MOST_FAILURES, Storage
from streamlab_plugin.recorder.watch import due
from streamlab_plugin.store import run_writer
from streamlab_plugin.store.batch import StreamWrite
from streamlab_plugin.store.failure import DATABASE_ERRORS, reason
from streamlab_plugin.store.spool import Spool

logger = logging.getLogger(__name__)

WRITE_EVERY_S = 0.1
WRITE_ROWS = 10_000
# Batches of one transaction, at most.
MOST_WRITES = 1_024
# While a write takes long, the next one is larger instead of more frequent.
SLOW_WRITE_S = 0.2
SLOW_WRITE_ROWS = 30_000
WATCH_EVERY_S = 1.0
# Watching may take this share of the time at most: on a distant database each look costs round trips.
WATCH_SHARE = 0.2
# Rows that neither database nor spool takes; with more, nothing is read and the clients keep theirs.
HOLD_ROWS = 30_000
# Alone this long, with everything durable: the recorder ends.
LINGER_S = 1.0
# Alone this long, with something left to do that cannot be done: it ends all the same.
GIVE_UP_S = 60.0
PROGRESS_EVERY_S = 0.5
ERRAND_PAUSE_S = 0.005
# The collector looks seldom by itself (see __main__); a library's cycles must not pile up meanwhile.
COLLECT_EVERY_S = 10.0
LOG_EVERY_S = 10.0


class Recorder:
    """Serve the Locust processes of one host and one database.

    Args:
        server: Where they connect.
        database_url: Where records go.
        key_file: The pseudonym key, made on first use.
        spool: Where records wait for a database that does not answer.
    """

    def __init__(self, server: Server, database_url: str, key_file: Path, spool: Spool) -> None:
        self._server = server
        self._storage = Storage(database_url, spool, self._notify)
        self._desk = Desk(self._storage, database_url, key_file)
        self._housekeeping = Housekeeping(self._desk, self._storage)
        self._pending: list[StreamWrite] = []
        self._most_writes = MOST_WRITES
        self._failures: dict[str, int] = {}  # by process: how often its batch could not be stored
        self._written_at = self._watched_at = self._busy_at = time.monotonic()
        self._write_took_s = self._watch_took_s = 0.0
        self._told_at = 0.0
        self._collected_at = time.monotonic()
        self._stumbled_at = float("-inf")

    def serve(self) -> int:
        """Run until the last client has gone and everything is durable; return the process's exit code."""
        while True:
            for step in (self._listen, self._keep, self._desk.tell_opened, self._watch, self._run_errands):
                try:
                    step()
                except BEGIN_ANEW:
                    raise
                except Exception:  # noqa: BLE001 - guard line: nothing is forgotten, the next turn goes on
                    self._stumble()
            if self._is_alone and due(self._busy_at, LINGER_S) and self._may_end():
                return self._end()

    @property
    def _is_alone(self) -> bool:
        return not self._server.connections or (self._is_holding and self._server.is_deserted)

    @property
    def _is_holding(self) -> bool:
        """Whether nothing more is read, since neither database nor spool takes what has been."""
        return self._pending_rows >= HOLD_ROWS

    def _listen(self) -> None:
        if self._is_holding:
            time.sleep(WRITE_EVERY_S / 2)
        else:
            self._hear()
        if not self._is_alone:
            self._busy_at = time.monotonic()

    def _keep(self) -> None:
        if due(self._written_at, max(WRITE_EVERY_S, self._write_took_s)):
            self._write()
        if self._storage.replay():
            self._busy_at = time.monotonic()
        if due(self._collected_at, COLLECT_EVERY_S):
            self._collected_at = time.monotonic()
            gc.collect()

    def _stumble(self) -> None:
        if due(self._stumbled_at, LOG_EVERY_S):
            self._stumbled_at = time.monotonic()
            logger.exception("a turn of the recorder failed; it goes on")
        time.sleep(WRITE_EVERY_S / 2)

    @property
    def _pending_rows(self) -> int:
        # One that has no records takes room, too.
        return sum(max(1, write.records) for write in self._pending)

    def _hear(self) -> None:
        most_rows = SLOW_WRITE_ROWS if self._write_took_s > SLOW_WRITE_S else WRITE_ROWS
        for connection, message in self._server.poll(
            ERRAND_PAUSE_S if self._desk.errands else WRITE_EVERY_S / 2
        ):
            self._busy_at = time.monotonic()
            try:
                if message is None:
                    try:
                        self._write()
                    finally:
                        self._desk.lose(connection)
                elif connection.is_open:
                    self._desk.hear(connection, message)
                if self._desk.held >= most_rows:
                    self._write()
            except BEGIN_ANEW:
                raise
            except Exception:  # noqa: BLE001 - guard line: hanging up makes the client tell it again
                connection.is_open = False
                self._stumble()

    def _write(self) -> None:
        began = time.monotonic()
        self._pending += self._desk.singles
        self._desk.singles.clear()
        for stream in self._desk.streams.values():
            try:
                write = stream.take()
            except Exception:  # noqa: BLE001 - guard line: the others are stored meanwhile
                self._stumble()
                continue
            if write is not None:
                self._pending.append(write)
        while self._pending and self._keep_some():
            pass
        self._written_at = time.monotonic()
        self._write_took_s = self._written_at - began

    def _keep_some(self) -> bool:
        """Make the first of what is pending durable: all of it, or less after a mistake of ours."""
        part = self._pending[: self._most_writes]
        try:
            is_kept = self._storage.keep(part)
        except BEGIN_ANEW:
            raise
        except Exception:  # noqa: BLE001 - guard line: many together may fail where each alone does not
            self._stumble()
            self._most_writes = max(1, len(part) // 2)
            if len(part) == 1:
                self._set_back(part[0])
            return len(part) > 1
        if is_kept:
            for write in part:
                self._failures.pop(write.process, None)
            self._most_writes = min(2 * self._most_writes, MOST_WRITES)
            del self._pending[: len(part)]
            for write in part:
                self._acknowledge(write)
        return is_kept

    def _set_back(self, write: StreamWrite) -> None:
        """Let the others go first, and in the end store what can be stored of it: its totals."""
        failures = self._failures[write.process] = self._failures.get(write.process, 0) + 1
        if failures > MOST_FAILURES:
            logger.error("%d records were put aside: they cannot be stored", write.records)
            self._pending[0] = write.without_rows()
        self._pending.sort(key=lambda one: one.process == write.process)

    def _acknowledge(self, write: StreamWrite) -> None:
        stream = self._desk.streams.get(write.process)
        if stream is None:
            return
        stream.durable_frame = write.last_frame
        if home := self._desk.homes.get(write.process):
            home.send(Ack(write.process, write.last_frame))
        if write.closed_at is not None:
            del self._desk.streams[write.process]

    def _notify(self, text: str) -> None:
        for home in set(self._desk.homes.values()):
            home.send(Notice(text))

    # --- watching and ending runs -------------------------------------------------------------------------

    def _watch(self) -> None:
        pause_s = WRITE_EVERY_S if self._desk.ending else WATCH_EVERY_S
        if not due(self._watched_at, max(pause_s, self._watch_took_s / WATCH_SHARE)):
            return
        began = time.monotonic()
        for name, run in list(self._desk.runs.items()):
            if not self._storage.is_up:
                break
            try:
                self._watch_run(name, run)
            except DATABASE_ERRORS as error:
                self._storage.failed(error)
            except Exception:  # the loop must outlive a mistake in one detector
                logger.exception("run %s could not be watched", name)
        self._watched_at = time.monotonic()
        self._watch_took_s = self._watched_at - began

    def _watch_run(self, name: str, run: Run) -> None:
        connection = self._storage.open().connection
        if run.key is None:
            run.key = run_writer.run_key(connection, name)
            if run.key is None:
                return  # its opening still waits in the spool
        watch = self._desk.watches.get(name)
        if run.owner_left_at is not None:
            if due(run.owner_left_at, ABORT_AFTER_S) and self._storage.is_drained:
                self._abort(name, run, run.key)
        elif run.stopped_at is None:
            if watch is not None:
                watch.step(connection, time.time())
            if run.owner is not None and not run.stop_is_requested:
                run.stop_is_requested = run_writer.stop_was_requested(connection, run.key)
                if run.stop_is_requested:
                    run.owner.send(StopRequested(name))
        elif self._storage.is_drained and may_finalise(run, connection):
            self._write()
            if watch is not None:
                watch.step(connection, max(time.time(), run.stopped_at), is_last=True)
            finished = finalise(run, connection)
            if run.owner is not None:
                run.owner.send(VerdictReached(run.row.run, finished.exit_code, finished.text))
            self._desk.forget(name)

    def _abort(self, name: str, run: Run, key: int) -> None:
        """The owner vanished in mid-run: nobody will say when it stopped."""
        if any(
            stream.run is run for stream in self._desk.streams.values() if stream.process in self._desk.homes
        ):
            return  # its workers are still sending
        connection = self._storage.open().connection
        if watch := self._desk.watches.get(name):
            watch.step(connection, time.time(), is_last=True)
        run_writer.finish_run(connection, key, state="aborted", stopped_at=time.time())
        self._desk.forget(name)

    # --- orders, housekeeping, the end --------------------------------------------------------------------

    def _run_errands(self) -> None:
        if not self._desk.errands:
            self._housekeeping.step()
            return
        connection, errand = self._desk.errands[0]
        try:
            if errand.is_alone:
                self._housekeeping.abandon()
            text = errand.step()
            if errand.result is not None:
                connection.send(OrderDone(json.dumps(errand.result).encode()))
                del self._desk.errands[0]
            elif due(self._told_at, PROGRESS_EVERY_S):
                self._told_at = time.monotonic()
                connection.send(Progress(text))
        except StreamlabError as error:
            connection.send(Refused(str(error), error.exit_code))
            del self._desk.errands[0]
        except DATABASE_ERRORS as error:
            self._storage.failed(error)
            connection.send(Refused(f"the database cannot be used: {reason(error)}", EXIT_INFRASTRUCTURE))
            del self._desk.errands[0]
        except Exception as error:
            logger.exception("an order failed")
            connection.send(Refused(f"the order failed in the recorder: {error!r}", EXIT_INFRASTRUCTURE))
            del self._desk.errands[0]

    def _may_end(self) -> bool:
        if due(self._busy_at, GIVE_UP_S):
            return True
        is_durable = not self._pending and not self._desk.errands
        return (
            is_durable
            and not self._desk.ending
            and self._storage.spool.is_empty
            and self._housekeeping.is_done
        )

    def _end(self) -> int:
        self._server.stop_listening()
        try:
            self._storage.close()
        except DATABASE_ERRORS as error:
            logger.error("the database could not be closed (%s)", reason(error))
        if self._pending:
            logger.error("%d records could not be kept anywhere", self._pending_rows)
            return EXIT_INFRASTRUCTURE
        return EXIT_MET
