"""One run of the canary: a load, an outage of the database in its midst, and all that it left behind."""

from __future__ import annotations

import contextlib
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from streamlab_plugin.canary.page import LOCUST_PAGES, OWN_PAGES, crawl
from streamlab_plugin.canary.place import Place, free_port, ready_line, ready_ports, stop
from streamlab_plugin.canary.planting import PER_PERSON, PROTOCOLS
from streamlab_plugin.canary.relay import Relay
from streamlab_plugin.canary.sink import Sink, everything, read_files
from streamlab_plugin.canary.tally import VALUES, checksum, read_tally, said
from streamlab_plugin.core.errors import InfrastructureError, StreamlabError
from streamlab_plugin.core.ledger import Ledger
from streamlab_plugin.store import queries
from streamlab_plugin.store.archive import archive_folder
from streamlab_plugin.store.cleanup import cleanup
from streamlab_plugin.store.engine import open_store
from streamlab_plugin.store.spool import Spool
from streamlab_plugin.store.spool_status import spool_path, spool_status

if TYPE_CHECKING:
    from sqlalchemy import Connection

PLAN, PLANTED, SEEN = "plan.json", "planted.json", "seen.json"
USERS = 21  # the sum of the users' fixed counts
_LOCUSTFILE = Path(__file__).with_name("locustfile.py")
# Bounds: what a slow machine needs for a start, and for one person on all protocols.
_START_S, _PERSON_S = 90.0, 0.2
_SPOOL_S = 20.0
_YEARS_S = 3 * 366 * 86_400.0
_OWN = (PLAN, PLANTED, SEEN, "target.err", "key")
_COMMANDS = (
    ("runs", "export", "latest", "--csv"),
    ("runs", "export", "latest", "--json"),
    ("runs", "show", "latest"),
    ("events", "query", "--json", "--limit", "2000"),
    ("privacy", "audit"),
)


@dataclass(frozen=True, slots=True)
class Trial:
    """What a run left behind, and whether it counts."""

    people: int
    seed: int
    sinks: list[Sink]
    planted: int
    seen: int
    on_wire: int
    ledger: Ledger

    @property
    def expected(self) -> int:
        """Return how many plantings there should be."""
        return self.people * PER_PERSON * len(PROTOCOLS)

    def problem(self) -> str | None:
        """Return why "nothing found" would mean nothing, or None."""
        if self.planted != self.expected:
            return f"only {self.planted:,} of {self.expected:,} plantings were made"
        if self.seen != self.on_wire:
            return f"the target saw only {self.seen:,} of {self.on_wire:,} plantings as they were sent"
        if not self.ledger.is_balanced or self.ledger.stored < self.on_wire:
            return f"the records are not in the database: {self.ledger.text()}"
        if empty := [sink.name for sink in self.sinks if not sink.size_bytes]:
            return f"nothing was there to search in: {', '.join(empty)}"
        return None


def run_trial(place: Place, people: int, seed: int, say: Callable[[str], None]) -> Trial:
    """Plant *people* on each protocol and gather what remains.

    Raises:
        InfrastructureError: a process did not start, ended early or did not end in time.
    """
    target = place.start("target", "-m", "streamlab_plugin.canary.target", SEEN, answers=True)
    plan = {"people": people, "seed": seed, "ports": ready_ports(target)}
    (place.folder / PLAN).write_bytes(msgspec.json.encode(plan))
    sinks = _under_load(place, people, say)
    stop(target)
    say("reading what it left behind")
    sinks += _afterwards(place)
    return _counted(place, people, seed, sinks)


def _counted(place: Place, people: int, seed: int, sinks: list[Sink]) -> Trial:
    """Compare what this process would plant with what was planted, and that with what was seen."""
    sums, seen = (read_tally(place.folder / name) for name in (PLANTED, SEEN))
    planted = seen_so = on_wire = 0
    for one in everything(seed, people):
        key = f"{one.protocol} {one.number}"
        planted += sums.get(f"{VALUES} {key}") == checksum(said(one.values))
        on_wire += one.carrier.is_wire
        seen_so += one.carrier.is_wire and key in sums and sums[key] == seen.get(key)
    return Trial(people, seed, sinks, planted, seen_so, on_wire, _ledger(place))


def _under_load(place: Place, people: int, say: Callable[[str], None]) -> list[Sink]:
    """Run the load to its end and return what can be seen only while it runs."""
    bus, web = free_port(), free_port()
    common = ("-m", "streamlab_plugin.launch", "-f", str(_LOCUSTFILE), "--logfile")
    limit_s = _START_S + people * _PERSON_S
    with Relay(bus) as relay:
        master = place.start(
            "master", *common, "master.log", "--master", "--master-bind-host", "127.0.0.1",
            "--master-bind-port", str(bus), "--expect-workers", "1", "--autostart", "--web-host", "127.0.0.1",
            "--web-port", str(web), "-u", str(USERS), "-r", str(USERS), "-t", f"{limit_s:.0f}s",
            "--csv", "out", "--html", "out.html", "--print-stats",
        )  # fmt: skip
        worker = place.start(
            "worker", *common, "worker.log", "--worker", "--master-host", "127.0.0.1",
            "--master-port", str(relay.port),
        )  # fmt: skip
        both = {"master": master, "worker": worker}
        _wait(place, both, _START_S, "the first records", lambda: _has_run(place))
        say("planting, and locking the database for a moment")
        spool = _spooled(place, both)
        _wait(place, both, limit_s, "the last planting", (place.folder / PLANTED).is_file)
        pages = crawl(f"http://127.0.0.1:{web}", LOCUST_PAGES)
        live = read_files("", place.folder.glob("streamlab.db*")).pieces
        stop(master, signal.SIGINT)  # after another signal Locust writes no HTML report
        stop(worker)
        heard = relay.heard()
    return [
        Sink("database while it is written", live),
        spool,
        Sink("Locust's web pages", pages),
        Sink("messages of master and worker", heard),
    ]


def _spooled(place: Place, processes: Mapping[str, subprocess.Popen[bytes]]) -> Sink:
    """Keep the database from being written until records wait in the spool; return the spool."""
    path = spool_path(place.database_url, place.environment())
    # A transaction that writes nothing: nobody else can begin one meanwhile.
    with open_store(place.database_url, read_only=False).begin():
        _wait(place, processes, _SPOOL_S, "a spool", lambda: spool_status(path).records > 0)
        raw = read_files("", path.parent.glob(f"{path.name}*")).pieces
        copy = place.folder / "tmp" / "copy.spool"
        for name in path.parent.glob(f"{path.name}*"):
            with contextlib.suppress(OSError):
                shutil.copy(name, copy.with_name(name.name.replace(path.name, copy.name)))
    return Sink("spool", [*raw, *_unpacked(copy)])


def _unpacked(path: Path) -> Iterator[bytes]:
    """Yield what the batches of a spool hold, which are compressed there."""
    spool = Spool(path)
    while batches := spool.oldest(100_000):
        yield repr([batch for _number, batch in batches]).encode(errors="replace")
        spool.remove([number for number, _batch in batches])
    spool.close()


def _afterwards(place: Place) -> list[Sink]:
    """Return what a test leaves behind when it has ended, and what commands and pages say of it."""
    with ThreadPoolExecutor(3) as pool:
        pages = pool.submit(_pages, place)
        exports = list(pool.map(lambda words: place.command(*words), _COMMANDS))
    folder = place.folder
    archives = _archives(place)
    sinks = [
        Sink("exports and commands", exports),
        Sink("pages and API of streamlab ui", pages.result()),
        read_files("database", folder.glob("streamlab.db*")),
        Sink("archives", archives),
        read_files("Locust's CSV and HTML files", [*folder.glob("out*.csv"), folder / "out.html"]),
        read_files("log files", [*folder.glob("*.log"), *place.runtime.rglob("*.log")]),
        read_files("standard output and error", [*folder.glob("*.out"), *folder.glob("*.err")]),
    ]
    known = {"streamlab.db", *_OWN}
    others = [
        path
        for path in folder.rglob("*")
        if path.name not in known and path.suffix not in (".csv", ".html", ".log", ".out", ".err", ".gz")
    ]
    return [*sinks, *([read_files("other files", others)] if any(path.is_file() for path in others) else [])]


def _pages(place: Place) -> list[bytes]:
    server = place.start("ui", "-m", "streamlab_plugin.cli", "ui", "--port", "0", answers=True)
    try:
        found = re.search(rb"http://[^/ ]+", ready_line(server, "pages"))
        assert found is not None
        return crawl(found.group().decode(), OWN_PAGES)
    finally:
        stop(server)


def _archives(place: Place) -> list[bytes]:
    """Return the archives that retention will write in three years.

    Of a copy of the database, which is no recorder's: none would clean up as if it were that late.
    """
    copy = place.folder / "tmp" / "copy.db"
    for name in place.folder.glob("streamlab.db*"):
        shutil.copy(name, copy.with_name(name.name.replace("streamlab.db", copy.name)))
    url = f"sqlite:///{copy}"
    folder = archive_folder(url, place.environment())
    with open_store(url, read_only=False).connect() as connection:
        for _step in cleanup(connection, folder, time.time() + _YEARS_S):
            pass
    return [path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()]


def _wait(
    place: Place,
    processes: Mapping[str, subprocess.Popen[bytes]],
    limit_s: float,
    what: str,
    done: Callable[[], object],
) -> None:
    deadline = time.monotonic() + limit_s
    while time.monotonic() < deadline:
        if done():
            return
        for name, process in processes.items():
            if process.poll() is not None:
                raise InfrastructureError(
                    f"the canary's {name} ended with exit code {process.returncode} before {what}: "
                    f"{place.complaint(name)}"
                )
        time.sleep(0.1)
    raise InfrastructureError(f"{what} did not come within {limit_s:.0f} s; look into the folder with --keep")


def _has_run(place: Place) -> bool:
    # Before there is a write-ahead log a reader would be in the way of whoever makes the database.
    if not (place.folder / "streamlab.db-wal").exists():
        return False
    try:
        return _ledger(place).stored > 0
    except StreamlabError:
        return False  # it is being made


def _ledger(place: Place) -> Ledger:
    """Return the ledger of the run.

    Raises:
        StreamlabError: there is none, or it cannot be read.
    """

    def query(connection: Connection) -> Ledger:
        return queries.run_ledger(connection, queries.find_run(connection, queries.LATEST).id)

    return queries.read(open_store(place.database_url, read_only=True), query)
