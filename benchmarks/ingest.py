"""Row 9: records per second that one Locust process and one recorder bring into the database for a minute."""

from __future__ import annotations

import contextlib
import json
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import psutil
from sqlalchemy import Connection, text

from benchmarks.figure import Figure
from benchmarks.place import ENGINES, LABELS, ROOT, Place, place_on
from benchmarks.postgres import Server, new_server
from benchmarks.process import cpu_s, progress, resident_mb

# A little more than what must be reached: time that passes before the first and after the last record counts.
OFFERED = 62_000
MUST = 60_000
MOONSHOT = 100_000
LOOK_EVERY_S = 0.1
# After the end of the test; longer means that the recorder will never be done.
DRAIN_S = 120.0
KINDS = {"lean": "without payload", "payload": "12-field payload"}

_PROGRESS = text("SELECT coalesce(sum(stored), 0), min(state), min(dropped) FROM processes")


@dataclass
class Seen:
    """What was seen from outside: (epoch second, records stored), and what the processes used."""

    stored: list[tuple[float, int]] = field(default_factory=list)
    dropped: str = "{}"
    is_drained: bool = False
    locust_mb: list[float] = field(default_factory=list)
    recorder_mb: list[float] = field(default_factory=list)
    recorder_cpu_s: float = 0.0
    server_cpu_s: float = 0.0


def measure(*, is_quick: bool) -> list[Figure]:
    """Run each kind of record on each engine once."""
    seconds = 2 if is_quick else 60
    figures = []
    with new_server() as server:
        for engine in ENGINES:
            for kind in ("payload",) if is_quick else tuple(KINDS):
                with place_on(engine, server) as place:
                    figure = _measure(place, server, engine, kind, seconds)
                progress(f"row 9, {engine}, {KINDS[kind]}: {figure.median:,.0f}/s {dict(figure.details)}")
                figures.append(figure)
    return figures


def _measure(place: Place, server: Server, engine: str, kind: str, seconds: int) -> Figure:
    logged, worked_s = place.storage.log_bytes(), server.cpu_s()
    with _running_locust(place, kind, seconds) as locust:
        seen = _watch(place, server, locust, seconds)
        code = locust.wait(30)
    assert code == 0, f"locust ended with {code}: {(place.folder / 'error.log').read_text()[-2000:]}"
    fired: dict[str, float] = json.loads((place.folder / "fired.json").read_text())
    at_end = max((count for at, count in seen.stored if at <= fired["stopped_at"]), default=0)
    drained_at, stored = seen.stored[-1]
    dropped = json.loads(seen.dropped)
    assert stored + sum(dropped.values()) >= fired["fired"], f"{stored} of {fired['fired']} are accounted for"
    details: dict[str, float | str] = {
        "fired": fired["fired"],
        "stored when the test stops": f"{at_end / fired['fired']:.2%}",
        "everything stored after, s": drained_at - fired["stopped_at"],
        "dropped": ", ".join(f"{reason} {count:,}" for reason, count in dropped.items()) or "nothing",
        "Locust, cores": fired["cpu_s"] / (fired["stopped_at"] - fired["first_at"]),
        "recorder, cores": seen.recorder_cpu_s / (drained_at - fired["first_at"]),
        "Locust, MB": f"{seen.locust_mb[0]:.0f} to {max(seen.locust_mb):.0f}",
        "recorder, MB": f"{seen.recorder_mb[0]:.0f} to {max(seen.recorder_mb):.0f}",
    }
    if engine == "postgresql":
        details["PostgreSQL, cores"] = (seen.server_cpu_s - worked_s) / (drained_at - fired["first_at"])
        details["write-ahead log per record, B"] = (place.storage.log_bytes() - logged) / stored
    return Figure(
        9, f"sustained ingest, {KINDS[kind]} ({LABELS[engine]})", "/s",
        (stored / (drained_at - fired["first_at"]),), MUST, MOONSHOT, is_ceiling=False, details=details,
    )  # fmt: skip


@contextlib.contextmanager
def _running_locust(place: Place, kind: str, seconds: int) -> Iterator[subprocess.Popen[str]]:
    with place.running(
        "locust", "-f", str(ROOT / "benchmarks" / "ingest_locustfile.py"), "--headless", "--only-summary",
        "-u", "20", "-r", "20", "-t", f"{seconds}s", "--host", "http://127.0.0.1",
        BENCH_RATE=str(OFFERED), BENCH_PAYLOAD="1" if kind == "payload" else "0",
    ) as process:  # fmt: skip
        yield process


def _watch(place: Place, server: Server, locust: subprocess.Popen[str], seconds: int) -> Seen:
    """Look at the database and at the processes until everything is stored."""
    seen, generator, recorder = Seen(), psutil.Process(locust.pid), place.recorder()
    with contextlib.ExitStack() as stack:
        connection: Connection | None = None
        give_up = time.monotonic() + seconds + DRAIN_S
        while not seen.is_drained and time.monotonic() < give_up:
            time.sleep(LOOK_EVERY_S)
            if connection is None:
                connection = _connected(place, stack)
                continue
            _look(connection, seen)
            seen.locust_mb.append(resident_mb(generator))
            seen.recorder_mb.append(resident_mb(recorder))
            seen.recorder_cpu_s = cpu_s(recorder)
            seen.server_cpu_s = server.cpu_s()
    assert seen.is_drained, f"not everything was stored {DRAIN_S:.0f} s after the end"
    return seen


def _connected(place: Place, stack: contextlib.ExitStack) -> Connection | None:
    """Return a connection for reading once the tables and the process are there."""
    try:
        if place.storage.scalar("SELECT count(*) FROM processes"):
            return stack.enter_context(place.storage.reader().connect())
    except Exception:  # there is no file or no table yet
        return None
    return None


def _look(connection: Connection, seen: Seen) -> None:
    row: Any = connection.execute(_PROGRESS).one()
    seen.stored.append((time.time(), int(row[0])))
    seen.is_drained, seen.dropped = row[1] == "closed", str(row[2])
