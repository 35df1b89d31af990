"""Erase one subject everywhere, in steps so short that a recorder can do them between its other work.

First every place is searched, so that the numbers of the subject's records are known wherever those are. Then
everything that names one of these records goes before the record itself: an attempt that is interrupted at
any step leaves what the next one needs to find the rest.
"""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

from sqlalchemy import Connection

from streamlab_plugin.privacy.subject import Subject
from streamlab_plugin.store.archive_eraser import ArchiveEraser
from streamlab_plugin.store.erasure import Erasure
from streamlab_plugin.store.erasure_tally import ErasureTally
from streamlab_plugin.store.occurrence_eraser import OccurrenceEraser
from streamlab_plugin.store.record_eraser import RecordEraser
from streamlab_plugin.store.spool import Spool
from streamlab_plugin.store.spool_eraser import SpoolEraser


def erase(
    connection: Connection, spool: Spool, folder: Path, subject: Subject, entry: Erasure | None
) -> Generator[str, None, ErasureTally]:
    """Delete what is stored of *subject*; yield a line after each step and return what was done.

    Args:
        connection: The recorder's; between the steps it has no transaction open.
        spool: The recorder's.
        folder: Where its archives are; nobody else works there.
        subject: Whose data.
        entry: Its row in ``erasures``; None only counts.

    Raises:
        sqlalchemy.exc.DBAPIError, SpoolError: Out of reach; a later call goes on from there.
    """
    tally = ErasureTally(connection, subject, entry)
    waiting = SpoolEraser(tally, spool)
    archives = ArchiveEraser(tally, folder)
    records = RecordEraser(tally)
    # The spool before the database: what is replayed meanwhile is found there.
    yield from waiting.find()
    yield from archives.find()
    yield from records.find()
    if entry is not None and entry.pending is not None:
        {"spool": waiting.repair, "archive": archives.repair}[entry.pending["place"]](entry.pending)
        yield "an earlier attempt is taken up"
    yield from waiting.erase()
    yield from OccurrenceEraser(tally).erase()
    yield from archives.erase()
    yield from records.erase_tracks()
    if entry is not None:
        yield from records.erase()
        yield from waiting.shrink()
    return tally
