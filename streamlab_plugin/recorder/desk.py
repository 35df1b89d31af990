"""What Locust processes say to a recorder, and what it knows of their runs and streams.

Every opening word may be repeated: a client tells everything again after it has lost its connection.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

from streamlab_plugin.core.errors import EXIT_INFRASTRUCTURE, InfrastructureError, StreamlabError
from streamlab_plugin.link.message import (
    LINK_VERSION,
    Ack,
    CloseProcess,
    Frame,
    Hello,
    OpenProcess,
    OpenRun,
    Order,
    Refused,
    RunOpened,
    StopRun,
    Unrecorded,
    Uplink,
    Welcome,
)
from streamlab_plugin.link.server import Connection
from streamlab_plugin.privacy.keyring import Keyring
from streamlab_plugin.privacy.pseudonym import Pseudonyms, key_id
from streamlab_plugin.recorder import opening
from streamlab_plugin.recorder.errand import Errand
from streamlab_plugin.recorder.run import Run, make_run
from streamlab_plugin.recorder.storage import NotYetError, Storage
from streamlab_plugin.recorder.stream import Stream
from streamlab_plugin.recorder.watch import Watch
from streamlab_plugin.store.batch import StreamWrite
from streamlab_plugin.store.engine import PATIENCE_S, open_store
from streamlab_plugin.store.failure import DATABASE_ERRORS, reason
from streamlab_plugin.store.migrate import PATIENCE_S as MIGRATION_PATIENCE_S
from streamlab_plugin.store.migrate import has_schema, migrate, schema_of
from streamlab_plugin.store.url import is_sqlite

# An owner that hung up may only have lost its connection.
ABORT_AFTER_S = 3.0
# A process that another recorder has recorded waits this long for its run to be opened again.
AWAIT_S = 30.0


class Desk:
    """Hear the Locust processes of one host and one database.

    Args:
        storage: Where everything goes.
        database_url: The database, for its schema.
        key_file: The pseudonym key, made on first use.
    """

    def __init__(self, storage: Storage, database_url: str, key_file: Path) -> None:
        self.runs: dict[str, Run] = {}
        self.streams: dict[str, Stream] = {}
        self.watches: dict[str, Watch] = {}
        self.homes: dict[str, Connection] = {}  # process -> where its acknowledgements go
        self.singles: list[StreamWrite] = []  # batches of one frame, see _frame
        self.errands: list[tuple[Connection, Errand]] = []
        self._storage = storage
        self.database_url = database_url
        self._keyring = Keyring(key_file)
        self._pseudonyms: dict[str, Pseudonyms] = {}  # by the id of their key
        self._uncertain: set[str] = set()
        self._lost: set[str] = set()
        self._awaited: dict[str, float] = {}  # process -> since when its run is missing
        self._schema_is_ready = False
        self._hear: dict[type[Uplink], Callable[..., None]] = {
            Hello: self._hello,
            OpenRun: self._open_run,
            OpenProcess: self._open_process,
            Frame: self._frame,
            CloseProcess: self._close_process,
            StopRun: self._stop_run,
            Order: self._order,
        }

    @property
    def held(self) -> int:
        """Rows that wait for the next write."""
        return sum(stream.held for stream in self.streams.values())

    @property
    def ending(self) -> list[Run]:
        """Runs that this recorder still has to bring to an end."""
        return [run for run in self.runs.values() if run.stopped_at is not None or run.owner_left_at]

    def forget(self, name: str) -> None:
        """Let go of a run that has ended."""
        self.watches.pop(name, None)
        run = self.runs.pop(name)
        for process in run.streams:
            self.streams.pop(process, None)
            self.homes.pop(process, None)
            self._uncertain.discard(process)

    def hear(self, connection: Connection, message: Uplink) -> None:
        """Act on a message; what goes wrong is answered in one line."""
        try:
            self._hear[type(message)](connection, message)
        except StreamlabError as error:
            connection.send(Refused(str(error), error.exit_code))
        except NotYetError:
            # Hanging up makes the client tell everything again, once it has reconnected.
            connection.is_open = False
        except DATABASE_ERRORS as error:
            connection.send(Refused(f"the database cannot be used: {reason(error)}", EXIT_INFRASTRUCTURE))
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
        if message.role in ("standalone", "master"):
            self._keyring.current()  # a key that cannot be used is said before the first request
            try:
                self.prepare_schema()
            except InfrastructureError as error:
                # For one that is in the middle of a test there is the spool.
                if not message.is_back:
                    raise
                self._storage.failed(error)
        connection.send(Welcome(LINK_VERSION, os.getpid()))

    def prepare_schema(self) -> None:
        """Bring the database to this version's schema and open it.

        Raises:
            InfrastructureError: it is out of reach, no database of ours, or newer than this version.
        """
        if not self._schema_is_ready:
            if is_sqlite(self.database_url) or not self._schema_is_current():
                migrate(open_store(self.database_url, read_only=False, patience_s=MIGRATION_PATIENCE_S))
            self._schema_is_ready = True
        try:
            self._storage.open()
        except DATABASE_ERRORS as error:
            raise InfrastructureError(f"the database cannot be used: {reason(error)}") from error

    def _schema_is_current(self) -> bool:
        # With the usual patience: only a migration may take long, not the question whether one is due.
        engine = open_store(self.database_url, read_only=True, patience_s=PATIENCE_S)
        return schema_of(engine).is_current

    def _current_key(self) -> str:
        """Return the id of today's key, which a new run takes; it may have been replaced since the last."""
        key = self._keyring.current()
        return self._remember_key(key_id(key), key)

    def _remember_key(self, ident: str, key: bytes) -> str:
        if ident not in self._pseudonyms:
            self._pseudonyms[ident] = Pseudonyms(key)
        return ident

    def _key_of(self, run: Run) -> str:
        """Return the id of the key for a stream of *run*: the run's own, or today's when that is unknown."""
        ident = run.row.key_id
        if ident in self._pseudonyms:
            return ident
        key = self._keyring.find(ident)
        if key is not None:
            return self._remember_key(ident, key)
        run.problems.append(
            "a recorder used another pseudonym key; set the same STREAMLAB_KEY_FILE everywhere"
        )
        return self._current_key()

    def _open_run(self, connection: Connection, message: OpenRun) -> None:
        known = self.runs.get(message.run)
        if known is None:
            key = self._current_key()
            made = make_run(opening.make_row(message, key))
            is_stored = self._storage.open_run(message, key)
            known = self.runs[message.run] = made
            if is_stored:
                connection.send(RunOpened(message.run))
        else:
            connection.send(RunOpened(message.run))
        known.owner, known.owner_left_at = connection, None
        known.expected_workers = message.expected_workers

    def tell_opened(self) -> None:
        """Tell the owners whose runs have reached the database at last."""
        for name in self._storage.opened_runs:
            run = self.runs.get(name)
            if run is not None and run.owner is not None:
                run.owner.send(RunOpened(name))
        self._storage.opened_runs.clear()

    def _find_run(self, name: str) -> Run | None:
        known = self.runs.get(name)
        if known is None:
            row = self._storage.find_run(name)
            if row is not None:
                known = self.runs[name] = make_run(row)
        return known

    def _open_process(self, connection: Connection, message: OpenProcess) -> None:
        if known := self.streams.get(message.process):
            self.homes[message.process] = connection
            if message.process in self._lost:
                self._lost.discard(message.process)
                self._storage.open_process(message)
            connection.send(Ack(message.process, known.durable_frame))
            return
        if not self._storage.is_up and self._find_spooled(message.run) is None:
            # A worker whose master is elsewhere: nobody has opened the database here yet.
            if not self._may_have_runs():
                self._turn_away(connection, message)
                return
            try:
                self._storage.open()
            except InfrastructureError as error:
                self._storage.failed(error)
                raise NotYetError from error
        run = self._find_run(message.run)
        if run is None:
            self._turn_away(connection, message)
            return
        self._awaited.pop(message.process, None)
        pseudonyms = self._pseudonyms[self._key_of(run)]
        try:
            row, is_certain = self._storage.open_process(message)
        except LookupError:
            connection.send(Unrecorded(message.process, _elsewhere(message.run)))
            return
        self.homes[message.process] = connection
        connection.send(Ack(message.process, row.last_frame))
        if not is_certain:
            self._uncertain.add(message.process)
        stream = Stream(run, message.process, row, pseudonyms)
        run.streams[message.process] = self.streams[message.process] = stream
        if run.owner is connection:
            self.watches.setdefault(message.run, Watch(run, message.process))

    def _find_spooled(self, name: str) -> Run | None:
        """Return a run of which this host knows without the database."""
        if name not in self.runs and (row := self._storage.spooled_run(name)) is not None:
            self.runs[name] = make_run(row)
        return self.runs.get(name)

    def _turn_away(self, connection: Connection, message: OpenProcess) -> None:
        """Answer a process whose run is not here.

        Raises:
            NotYetError: it had been recorded before: whoever opened its run will soon say so again.
        """
        since = self._awaited.setdefault(message.process, time.monotonic())
        if message.is_retold and (not self._storage.is_up or time.monotonic() - since < AWAIT_S):
            raise NotYetError
        del self._awaited[message.process]
        connection.send(Unrecorded(message.process, _elsewhere(message.run)))

    def _may_have_runs(self) -> bool:
        """Whether there is a database of ours.

        Raises:
            NotYetError: it does not answer.
        """
        if is_sqlite(self.database_url):
            return has_schema(self.database_url)
        try:
            return schema_of(open_store(self.database_url, read_only=True)).found is not None
        except InfrastructureError as error:
            self._storage.failed(error)
            raise NotYetError from error

    def _frame(self, _connection: Connection, message: Frame) -> None:
        stream = self.streams.get(message.process)
        if stream is None:
            return
        stream.receive(message)
        if message.process in self._uncertain and (write := stream.take()):
            # The last recorder may have stored more of this stream than it could say: frame by frame, the
            # database itself sees which of them it has.
            self.singles.append(write)

    def _close_process(self, _connection: Connection, message: CloseProcess) -> None:
        stream = self.streams.get(message.process)
        if stream is not None:
            stream.close(message)

    def _stop_run(self, _connection: Connection, message: StopRun) -> None:
        run = self.runs.get(message.run)
        if run is not None and run.stopped_at is None:
            self._storage.stop_run(message)
            run.stopped_at, run.stop_heard_at = message.stopped_at, time.monotonic()
            run.expected_workers = message.expected_workers

    def _order(self, connection: Connection, message: Order) -> None:
        self.errands.append((connection, Errand(self, self._storage, message)))

    def lose(self, connection: Connection) -> None:
        """A Locust process hung up; a stream that it did not close will never be complete."""
        now = time.time()
        for process in [name for name, home in self.homes.items() if home is connection]:
            del self.homes[process]
            stream = self.streams.get(process)
            if stream is not None and not stream.is_closed:
                self._lost.add(process)
                try:
                    # By its own last word: a recorder with much to read notices the end late.
                    self._storage.mark_lost(process, stream.seen_at or now)
                except NotYetError:
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
