"""Where batches become durable: the database, or the spool while the database does not answer.

While anything waits in the spool, everything new goes behind it, so that each stream is stored in order; the
spool is emptied into the database by the normal, idempotent write.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from streamlab_plugin.core.errors import InfrastructureError
from streamlab_plugin.link.message import OpenProcess, OpenRun, StopRun
from streamlab_plugin.recorder import opening
from streamlab_plugin.recorder.probe import Probe
from streamlab_plugin.store import run_writer
from streamlab_plugin.store.batch import StreamWrite
from streamlab_plugin.store.engine import open_store
from streamlab_plugin.store.failure import DATABASE_ERRORS, reason
from streamlab_plugin.store.migrate import schema_of
from streamlab_plugin.store.run_writer import ProcessRow, RunRow
from streamlab_plugin.store.spool import SpoolDamagedError, SpoolError
from streamlab_plugin.store.url import database_path, is_sqlite, place
from streamlab_plugin.store.writer import UnknownProcessError, Writer

if TYPE_CHECKING:
    from streamlab_plugin.store.spool import Spool

logger = logging.getLogger(__name__)


# A write that takes longer sends the next ones to the spool, where they hold nobody up.
SLOW_S = 1.0
# Replaying aims at steps of a length that still lets frames in.
STEP_S = 0.4
STEP_RECORDS = 2_000
MOST_STEP_RECORDS = 40_000
MOST_PAUSE_S = 1.0
# What a step costs at least per process, in looks at the database.
ROUND_TRIPS = 10
LOG_INTERVAL_S = 10.0
LOOK_EVERY_S = 1.0
# A batch on which our own code fails as often as this, alone, is stored without its records.
MOST_FAILURES = 20


class NotYetError(Exception):
    """The database must be asked, and does not answer."""


class ReplacedError(Exception):
    """The database is not the one that was opened: somebody removed it, or put another in its place."""


# What this recorder knows holds no more: it ends, and its clients tell the next one everything again.
BEGIN_ANEW = (ReplacedError, UnknownProcessError, SpoolDamagedError)


class Storage:
    """Database and spool of one recorder.

    Args:
        database_url: Where records go.
        spool: Where they wait.
        notify: Takes a line for everybody who is connected.
    """

    def __init__(self, database_url: str, spool: Spool, notify: Callable[[str], None]) -> None:
        self.writer: Writer | None = None
        self.spool = spool
        self.opened_runs: list[str] = []  # runs whose opening was replayed, until somebody takes note
        self._url = database_url
        self._notify = notify
        self._probe = Probe(database_url)
        self._is_slow = False
        self._step_records = STEP_RECORDS
        self._replayed_at = 0.0
        self._step_took_s = 0.0
        self._replay_failures = 0
        self._file: tuple[int, int] | None = None
        self._looked_at = 0.0
        self._failing_since: float | None = None
        self._next_log_at = 0.0

    # --- state --------------------------------------------------------------------------------------------

    @property
    def is_up(self) -> bool:
        """Whether the database answered last time."""
        return self.writer is not None

    @property
    def is_drained(self) -> bool:
        """Whether everything that was kept is in the database."""
        return self.is_up and self.spool.is_empty

    def open(self) -> Writer:
        """Open the database, or return the open writer.

        Raises:
            DATABASE_ERRORS, StreamlabError: it is out of reach.
        """
        if self.writer is None:
            self.writer = Writer(open_store(self._url, read_only=False))
            self._file = self._identity()
        return self.writer

    def check_place(self) -> None:
        """Look, once a second, whether the file that is open is still the one at its place.

        SQLite itself would go on with a file that has no name any more, and nothing of it would remain.

        Raises:
            ReplacedError: it is not.
        """
        if self.writer is None or self._file is None or time.monotonic() - self._looked_at < LOOK_EVERY_S:
            return
        self._looked_at = time.monotonic()
        try:
            found = self._identity()
        except FileNotFoundError:
            found = None
        except OSError:
            return  # the write will say it
        if found != self._file:
            raise ReplacedError(f"the database {place(self._url)} was removed or replaced")

    def _identity(self) -> tuple[int, int] | None:
        """Return what tells a SQLite file from another one at the same place."""
        if not is_sqlite(self._url):
            return None
        status = database_path(self._url).stat()
        return status.st_dev, status.st_ino

    def failed(self, error: BaseException) -> None:
        """Take note that the database did not do its work; it is tried again from time to time."""
        if self.writer is not None:
            self.writer.abandon()
            self.writer = None
        self._probe.failed()
        if self._failing_since is None:
            self._failing_since = time.monotonic()
        if time.monotonic() >= self._next_log_at:
            self._next_log_at = time.monotonic() + LOG_INTERVAL_S
            text = f"the database does not answer ({reason(error)}); records go to {self.spool.path}"
            logger.error(text)
            self._notify(text)

    def close(self) -> None:
        """Let go of both."""
        self._probe.close()
        self.spool.close()
        if self.writer is not None:
            writer, self.writer = self.writer, None
            writer.close()

    # --- batches ------------------------------------------------------------------------------------------

    def keep(self, writes: Sequence[StreamWrite]) -> bool:
        """Make *writes* durable; False when neither database nor spool takes them, then nothing is kept.

        Raises:
            BEGIN_ANEW: another database, or the spool was damaged.
        """
        self.check_place()
        if self.writer is not None and self.spool.is_empty and not self._is_slow:
            began = time.monotonic()
            try:
                self.writer.write(writes)
            except DATABASE_ERRORS as error:
                self.failed(error)
            else:
                self._is_slow = time.monotonic() - began > SLOW_S
                return True
        try:
            self.spool.append(writes)
        except SpoolError as error:
            self._spool_failed("written either", error)
            return False
        return True

    def replay(self) -> bool:
        """Bring a part of what waits into the database, and return whether there was any that it took.

        Half of the time is left to those who send, or what they need after a long wait for the database.

        Raises:
            BEGIN_ANEW: another database, or the spool was damaged.
        """
        self.check_place()
        if time.monotonic() - self._replayed_at < min(self._step_took_s, MOST_PAUSE_S):
            return False
        # One that was never open is opened by those who need it: only then it is known to have a schema.
        if self.writer is None and (self._failing_since is None or not self._reconnected()):
            return False
        began = time.monotonic()
        has_moved = False
        try:
            has_moved = self._replay_step()
        except SpoolError as error:
            self._spool_failed("used", error)
        except DATABASE_ERRORS as error:
            self.failed(error)
        self._replayed_at = time.monotonic()
        self._step_took_s = self._replayed_at - began
        return has_moved

    def _reconnected(self) -> bool:
        if not self._probe.is_worth_trying():
            return False
        try:
            schema = schema_of(self.open().connection.engine)
        except (*DATABASE_ERRORS, InfrastructureError) as error:
            self.failed(error)
            return False
        if schema.found is None:
            raise ReplacedError(f"the database {place(self._url)} came back empty")
        return True

    def _replay_step(self) -> bool:
        writer = self.open()
        if self.spool.is_empty:
            self._recovered()
            return False
        opening.replay_openings(self.spool, writer, self.opened_runs)
        found = self.spool.oldest(self._step_records)
        if self._replay_failures:
            found = found[:1]
        if found:
            away_s = writer.round_trip_s()
            began = time.monotonic()
            try:
                writer.write([write for _number, write in found])
            except UnknownProcessError as error:
                # Left by a run whose database was replaced; the others must not wait for it.
                aside = self.spool.put_aside(error.process)
                logger.error("%s; what waited for it is kept in %s", error, aside)
                return True
            except DATABASE_ERRORS:
                raise
            except Exception:
                # One by one from here on, until the batch is found that we cannot store.
                self._replay_failures += 1
                if self._replay_failures <= MOST_FAILURES:
                    raise
                (_number, write) = found[0]
                logger.exception("%d records were put aside: they cannot be stored", write.records)
                writer.write([write.without_rows()])
            self._replay_failures = 0
            self.spool.remove([number for number, _write in found])
            # To a distant database a small step takes as long as a large one: that part does not count.
            processes = len({write.process for _number, write in found})
            took_s = time.monotonic() - began - ROUND_TRIPS * processes * away_s
            self._step_records = _fitting(self._step_records, took_s)
        else:
            opening.replay_endings(self.spool, writer)
        if self.is_drained:
            self._is_slow = False
            self._recovered()
        return bool(found)

    def _recovered(self) -> None:
        if self._failing_since is not None:
            took_s = time.monotonic() - self._failing_since
            self._failing_since = None
            self._next_log_at = 0.0
            text = f"the database is back after {took_s:.0f} s, and nothing waits any more"
            logger.info(text)
            self._notify(text)

    # --- what is said about runs and processes ------------------------------------------------------------

    def open_run(self, message: OpenRun, key_id: str) -> bool:
        """Store a run; False when that has to wait for the database.

        Raises:
            NotYetError: neither database nor spool takes it.
        """
        if self.writer is not None:
            try:
                opening.store_run(self.writer, message, key_id)
                return True
            except DATABASE_ERRORS as error:
                self.failed(error)
        self._say("run", message.run, opening.encode_run(message, key_id))
        return False

    def spooled_run(self, run: str) -> RunRow | None:
        """Return a run whose opening waits in the spool, or None.

        Raises:
            NotYetError: the spool cannot be read.
        """
        return next((opening.run_row(body) for name, body in self._words("run") if name == run), None)

    def find_run(self, run: str) -> RunRow | None:
        """Return a run that another recorder has opened, or None when there is none.

        Raises:
            NotYetError: the database does not answer.
        """
        if (row := self.spooled_run(run)) is not None:
            return row
        if self.writer is None:
            raise NotYetError
        try:
            return run_writer.find_run(self.writer.connection, run)
        except DATABASE_ERRORS as error:
            self.failed(error)
            raise NotYetError from error

    def open_process(self, message: OpenProcess) -> tuple[ProcessRow, bool]:
        """Store a process, and return how far its stream is durable and whether that is certain.

        Raises:
            NotYetError: neither database nor spool takes it.
        """
        try:
            newest = self.spool.newest(message.process)
            if not self.spool.is_empty:
                self.spool.unsay("lost", message.process)
        except SpoolError as error:
            raise NotYetError from error
        row = None
        if self.writer is not None and not self._words("run"):
            try:
                row = opening.store_process(self.writer, message)
            except DATABASE_ERRORS as error:
                self.failed(error)
        if row is None:
            self._say("process", message.process, opening.encode(message))
        if newest is not None and (row is None or newest.last_frame > row.last_frame):
            return ProcessRow(newest.last_frame, newest.produced, "open"), True
        if row is not None:
            return row, True
        return ProcessRow(message.acknowledged, 0, "open"), not message.is_retold

    def stop_run(self, message: StopRun) -> None:
        """Store that the test has stopped.

        Raises:
            NotYetError: neither database nor spool takes it.
        """
        self._or_say("stop", message.run, opening.encode(message), opening.store_stop)

    def mark_lost(self, process: str, at: float) -> None:
        """Store that a process vanished at *at* (epoch seconds).

        Raises:
            NotYetError: neither database nor spool takes it.
        """
        self._or_say("lost", process, opening.encode(at), opening.store_lost)

    def _or_say(self, kind: str, name: str, body: bytes, store: Callable[[Writer, str, bytes], None]) -> None:
        # Behind what waits: an end must not be stored before what came before it.
        if self.writer is not None and self.spool.is_empty:
            try:
                store(self.writer, name, body)
                return
            except DATABASE_ERRORS as error:
                self.failed(error)
        self._say(kind, name, body)

    def _say(self, kind: str, name: str, body: bytes) -> None:
        try:
            self.spool.say(kind, name, body)
        except SpoolError as error:
            raise NotYetError from error

    def _words(self, kind: str) -> list[tuple[str, bytes]]:
        try:
            return self.spool.words(kind)
        except SpoolError as error:
            raise NotYetError from error

    def _spool_failed(self, what: str, error: SpoolError) -> None:
        if time.monotonic() >= self._next_log_at:
            self._next_log_at = time.monotonic() + LOG_INTERVAL_S
            logger.error("the spool %s cannot be %s (%s)", self.spool.path, what, error)


def _fitting(records: int, took_s: float) -> int:
    if took_s < STEP_S / 2:
        return min(MOST_STEP_RECORDS, records * 2)
    return max(500, records // 2) if took_s > STEP_S * 2 else records
