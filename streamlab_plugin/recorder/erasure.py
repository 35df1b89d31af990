"""Carry out orders to erase a subject: alone, with a receipt, and down to the bytes of the file."""

from __future__ import annotations

import time
from collections.abc import Generator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from streamlab_plugin.core.errors import InfrastructureError
from streamlab_plugin.privacy.subject import Subject
from streamlab_plugin.recorder import vacuum
from streamlab_plugin.store import erasure, partition, residue
from streamlab_plugin.store.cleanup import alone
from streamlab_plugin.store.eraser import erase
from streamlab_plugin.store.upkeep import one_host
from streamlab_plugin.store.url import database_path

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from streamlab_plugin.recorder.desk import Desk
    from streamlab_plugin.recorder.storage import Storage
    from streamlab_plugin.store.erasure import Erasure

Steps = Generator[str, None, dict[str, Any]]

# What was heard before the order is stored first; a database that takes longer is out of reach.
QUEUE_LIMIT_S = 30.0
RECORDING = (
    "older copies of deleted rows are left in the unused space of the database file, which cannot be written "
    "anew while a test is recorded; run: streamlab privacy erase --resume"
)
READING = "somebody reads the database and keeps its log; run: streamlab privacy erase --resume"


class Eraser:
    """Erase subjects from one database, its archives on this host and this recorder's spool.

    Args:
        desk: Who is being recorded meanwhile.
        storage: Database and spool.
        folder: Where archives are.
    """

    def __init__(self, desk: Desk, storage: Storage, folder: Path) -> None:
        self._desk = desk
        self._storage = storage
        self._folder = folder

    def count(self, pseudonyms: Sequence[str]) -> Steps:
        """Return what would go; nothing is changed."""
        yield from self._queued()
        tally = yield from erase(
            self._connection(), self._storage.spool, self._folder, Subject(pseudonyms), None
        )
        counts = {place: count for place, count in tally.counts.items() if count}
        return {"counts": counts, "skipped": tally.skipped}

    def erase(self, pseudonyms: Sequence[str], actor: str) -> Steps:
        """Erase a subject and return the receipt; an attempt that was interrupted is taken up."""
        with self._connection().begin():
            entry = erasure.begin(self._connection(), pseudonyms, actor, time.time())
        yield f"erasure {entry.id} begins"
        return (yield from self._finish(entry))

    def resume(self) -> Steps:
        """Bring all erasures to their end that did not come to it, and return their receipts."""
        with self._connection().begin():
            left = [entry for entry in erasure.listed(self._connection()) if entry.is_open]
        receipts = []
        for entry in left:
            receipts.append((yield from self._finish(entry)))
        return {"erasures": receipts}

    def _finish(self, entry: Erasure) -> Steps:
        connection, subject = self._connection(), Subject(entry.pseudonyms)
        with ExitStack() as stack:
            stack.enter_context(one_host(connection))
            self._enter_folder(stack)
            yield from self._queued()
            is_sqlite = connection.dialect.name == "sqlite"
            if is_sqlite:
                stack.enter_context(residue.overwriting(connection))
            tally = yield from erase(connection, self._storage.spool, self._folder, subject, entry)
            skipped = list(tally.skipped)
            if is_sqlite:
                skipped += yield from self._scrub(connection, subject)
            else:
                with connection.begin():
                    days = partition.names(connection)
                yield from vacuum.vacuum_tables(self._desk.database_url, ["occurrences", "tracks", *days])
            state = erasure.INCOMPLETE if skipped else erasure.FINISHED
            values: dict[str, Any] = {"state": state, "skipped": skipped}
            if not skipped:
                values |= {"finished_at": time.time(), "pseudonyms": None}
            with connection.begin():
                erasure.save(connection, entry.id, **values)
                receipt = erasure.find(connection, entry.id).to_dict()
            if is_sqlite:
                yield from residue.empty_log(connection)
        return {**receipt, "erased_now": sum(tally.attempt.values())}

    def _scrub(self, connection: Connection, subject: Subject) -> Generator[str, None, list[str]]:
        """Leave no byte of the subject in a SQLite file; return why that was not possible."""
        if not (yield from residue.empty_log(connection)):
            return [READING]
        path = database_path(self._desk.database_url)
        if not (yield from residue.search(path, subject.pseudonyms)):
            return []
        if self._desk.streams or self._desk.runs:
            return [RECORDING]
        yield from residue.rewrite(connection)
        if not (yield from residue.empty_log(connection)):
            return [READING]
        return []

    def _enter_folder(self, stack: ExitStack) -> None:
        try:
            stack.enter_context(alone(self._folder))
        except BlockingIOError:
            raise InfrastructureError("a cleanup is going on; try again when it is done") from None
        except OSError as error:
            raise InfrastructureError(
                f"the archive folder {self._folder} cannot be used ({error.strerror})"
            ) from error

    def _queued(self) -> Generator[str, None, None]:
        """Wait until what had come when the order came is stored or spooled."""
        wanted = {name: stream.last_frame for name, stream in self._desk.streams.items()}
        deadline = time.monotonic() + QUEUE_LIMIT_S
        while any(stream.durable_frame < wanted.get(name, 0) for name, stream in self._desk.streams.items()):
            if time.monotonic() > deadline:
                raise InfrastructureError("what was recorded before cannot be stored; try again later")
            yield "storing what was recorded before"

    def _connection(self) -> Connection:
        return self._storage.open().connection
