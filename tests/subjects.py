"""Ten subjects in a thousand records, in every place where records can be.

Two runs under two keys: the first was archived, but for its second process; of the second run a part waits in
the spool. Every subject has a hundred records: forty in archives, twenty and twenty in the database, twenty
in the spool. Each is named where a record can name it: in a payload, deep in one, as correlation, as stream.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from batches import BEGIN, RUN_DAY, Feed, full, lean
from sqlalchemy import insert, select, update

from streamlab_plugin.privacy.pseudonym import Pseudonyms
from streamlab_plugin.store import run_writer, tables
from streamlab_plugin.store.archive import read_lines
from streamlab_plugin.store.batch import Numbers, StreamWrite
from streamlab_plugin.store.cleanup import cleanup
from streamlab_plugin.store.engine import open_store
from streamlab_plugin.store.retention import set_policy
from streamlab_plugin.store.spool import Spool
from streamlab_plugin.store.url import database_path
from streamlab_plugin.store.writer import Writer

SUBJECTS = tuple(f"user-{number}" for number in range(10))
KEYS = (b"1" * 32, b"2" * 32)
# Per process: how many records, under which key.
ARCHIVED, STORED, LATER = ("p-1", 400, 0), ("p-2", 200, 0), ("p-3", 400, 1)
SPOOLED = 200  # the last ones of p-3
BATCH = 50
SHAPE = '["user_id","seat"]'


def pseudonym(subject: int, epoch: int) -> str:
    """Return the pseudonym of a subject in an epoch."""
    return Pseudonyms(KEYS[epoch]).of(SUBJECTS[subject])


def pseudonyms(subject: int) -> list[str]:
    """Return both of a subject."""
    return [pseudonym(subject, epoch) for epoch in (0, 1)]


def a_batch(feed: Feed, epoch: int) -> StreamWrite:
    """Return the next batch of a stream: every record another subject's, every tenth with a finding.

    Another subject's pseudonym stands inside of a longer text, which must not count.
    """
    rows, lean_rows, exemplars = [], [], []
    shape = feed.keys.shape(SHAPE)
    for seq in range(feed.seq + 1, feed.seq + BATCH + 1):
        subject = seq % 10
        own, other = pseudonym(subject, epoch), pseudonym((subject + 1) % 10, epoch)
        about = {"shape": shape, "payload": json.dumps(["x", f"{other}x"]), "correlation_id": f"c{seq}"}
        if seq // 10 % 4 == 0:
            lean_rows.append(lean(feed.keys, seq, **{**about, "payload": json.dumps([own, other + "x"])}))
        elif seq // 10 % 4 == 1:
            lean_rows.append(lean(feed.keys, seq, **{**about, "payload": json.dumps([{"of": [own]}, 1.50])}))
        elif seq // 10 % 4 == 2:
            lean_rows.append(lean(feed.keys, seq, **{**about, "correlation_id": own}))
        else:
            rows.append(full(feed.keys, seq, **{**about, "stream": own, "stream_seq": seq}))
        if seq % BATCH < 10:
            exemplars.append({"seq": seq, "at": float(BEGIN), "correlation_id": own if seq % 2 else None})
    numbers = [Numbers("got", row[13], "c", row[1], [row[0], row[0]]) for row in rows]
    seen = [
        (
            f"f{one['seq'] % 10}", BEGIN // 10 * 10, 3, float(BEGIN), BEGIN + 0.5, "slow", "slow_http",
            "warning", "http", "/a", "", f"user {pseudonym(one['seq'] % 10, epoch)} was slow",
            json.dumps([one, *exemplars[:2]]),
        )
        for one in exemplars
    ]  # fmt: skip
    return feed.write(rows, lean_rows, occurrences=seen, numbers=numbers)


@dataclass
class World:
    """A database, the folder of its archives and a spool."""

    url: str
    archive: Path
    spool: Path

    def dump(self) -> dict[str, list[str]]:
        """Return every row of every table, every line of every archive, every batch that waits."""
        found = {}
        with open_store(self.url, read_only=True).connect() as connection:
            for name, table in tables.metadata.tables.items():
                rows = connection.execute(select(table).order_by(*table.primary_key))
                found[name] = [repr(tuple(row)) for row in rows]
        for path in sorted(one for one in self.archive.rglob("*") if one.is_file() and one.name != ".lock"):
            lines = [line for some in read_lines(path) for line in some]
            found[str(path.relative_to(self.archive))] = [line.decode() for line in lines]
        for path in sorted(self.spool.parent.glob(f"{self.spool.name}*")):
            if path.suffix == ".spool" or path.suffix[1:].isdigit():
                found[path.name] = [repr(one) for one in waiting(path)]
        return found


def waiting(path: Path) -> Iterator[tuple[Any, ...]]:
    """Yield what waits in a spool: batches, their records, occurrences and tracks."""
    with closing(Spool(path)) as spool:
        for number, write in spool.oldest(10**9):
            yield ("batch", number, write.process, write.previous_frame, write.produced, write.erased)
            for row in (*write.rows, *write.lean):
                yield ("record", *(getattr(one, "values", one) for one in row))
            yield from (("occurrence", *one) for one in write.occurrences)
            yield from (("track", *one[:3], one.bounds) for one in write.numbers)


def is_named(lines: list[str], subject: int) -> bool:
    """Whether a line holds a pseudonym of a subject as a whole word."""
    either = "|".join(re.escape(one) for one in pseudonyms(subject))
    return any(re.search(rf"(?<![\w-])(?:{either})(?![\w-])", line) for line in lines)


def build(url: str, archive: Path, spool: Path) -> World:
    """Make a world in an empty database."""
    world = World(url, archive, spool)
    engine = open_store(url, read_only=False)
    with closing(Writer(engine)) as writer:
        connection = writer.connection
        for epoch, processes in enumerate(((ARCHIVED, STORED), (LATER,))):
            run = {
                "run": f"run-{epoch}", "name": "test", "run_day": RUN_DAY + epoch * 19,
                "started_at": float(BEGIN) + epoch * 19 * 86_400, "key_id": f"key-{epoch}", "host": "h",
                "locustfile": "t.py", "expected_workers": 0, "versions": "{}",
            }  # fmt: skip
            run_writer.open_run(connection, run, "hash", "{}")
            for process, count, key in processes:
                run_writer.open_process(connection, f"run-{epoch}", process, "worker", 1, float(BEGIN))
                feed = Feed(process)
                batches = [a_batch(feed, key) for _ in range(count // BATCH)]
                for write in batches:
                    write.run_day = RUN_DAY + epoch * 19
                if process == LATER[0]:
                    spool = Spool(world.spool)
                    spool.append(batches[-SPOOLED // BATCH :])
                    spool.close()
                    batches = batches[: -SPOOLED // BATCH]
                writer.write(batches)
        _archive(connection, world)
    return world


def _archive(connection: Any, world: World) -> None:
    """Let the first run end long ago and send its records and resolved occurrences away, but for p-2's."""
    with connection.begin():
        ended = {"state": "completed", "stopped_at": BEGIN + 600.0}
        connection.execute(update(tables.runs).where(tables.runs.c.run == "run-0").values(ended))
        signature = {
            "anomaly_type": "slow", "protocol": "http", "endpoint": "/a", "error_class": "", "rule": "slow",
            "description": "", "severity": "warning", "first_seen": BEGIN, "last_seen": BEGIN, "count": 1,
            "first_run_id": 1, "last_run_id": 1,
        }  # fmt: skip
        for number in range(10):
            status = "resolved" if number < 5 else "new"
            values = {**signature, "fingerprint": f"f{number}", "status": status}
            connection.execute(insert(tables.signatures).values(values))
        set_policy(connection, "occurrences", 1, None, "ann")
    for _text in cleanup(connection, world.archive, BEGIN + 10 * 86_400.0):
        pass  # occurrences only
    steps = cleanup(connection, world.archive, BEGIN + 31 * 86_400.0)
    # Before the second process of the run has its turn: an archive that is noted, its rows still there.
    for text in steps:
        if "p-2.1 noted" in text and "records" in text:
            break
    steps.close()


def copied(world: World, url: str, folder: Path) -> World:
    """Copy archives and spool of a world, and a SQLite database to the place that *url* names."""
    folder.mkdir()
    if url.startswith("sqlite"):
        shutil.copyfile(database_path(world.url), database_path(url))
    shutil.copytree(world.archive, folder / "archive")
    shutil.copyfile(world.spool, folder / "x.spool")
    copy = World(url, folder / "archive", folder / "x.spool")
    with open_store(url, read_only=False).begin() as connection:
        for row in connection.execute(select(tables.archives)).all():
            path = copy.archive / Path(row.path).relative_to(world.archive)
            one = update(tables.archives).where(tables.archives.c.id == row.id)
            connection.execute(one.values(path=str(path)))
    return copy
