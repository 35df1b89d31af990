"""Rows 1 and 10: beside the Timescale listener of locust-plugins, which inserts from the Locust process.

What a request costs there, and what is lost when the database restarts in the middle of a run.
"""

from __future__ import annotations

import contextlib
import json
import struct
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import psycopg

from benchmarks import peer_setup
from benchmarks.figure import Figure, Peer, surplus
from benchmarks.place import ROOT, Place, place_on
from benchmarks.postgres import Server, new_server
from benchmarks.process import progress, round_robin, wait_until
from benchmarks.request_cost import MOONSHOT_US, MUST_US

PEER = "Timescale listener of locust-plugins"
# The same work with nothing installed, in either environment.
VARIANTS = ("plain", "streamlab", "peer plain", "timescale")
# The share of the run after which the server restarts.
RESTART_AFTER = 0.4
END_S = 60.0


@dataclass(frozen=True)
class Outcome:
    """How a run with a restarted database went."""

    fired: int
    stored: int
    exit_code: int
    lasted_s: float
    last_line: str

    @property
    def lost(self) -> int:
        """Requests that were fired and are not in the database."""
        return self.fired - self.stored


def measure(*, is_quick: bool) -> list[Figure]:
    """Measure both; small numbers do not make the peer's environment, and without it there are no figures."""
    if not is_quick:
        try:
            peer_setup.make()
        except (OSError, RuntimeError, subprocess.SubprocessError) as error:
            progress(f"the peer's environment cannot be made: {error}")
    if not peer_setup.is_ready():
        progress("no peer: make its environment with python -m benchmarks.peer_setup")
        return []
    count, rounds = (10_000, 1) if is_quick else (100_000, 3)
    with new_server() as server:
        return [_cost(server, count, rounds), _loss(server, rounds, 2 if is_quick else 5)]


def _cost(server: Server, count: int, rounds: int) -> Figure:
    costs_us: dict[str, list[float]] = {variant: [] for variant in VARIANTS}
    for variant in round_robin(VARIANTS, rounds):
        with _place(server, variant) as place:
            costs_us[variant].append(_cost_us(place, variant, count))
        progress(f"row 1, PostgreSQL, {variant}: {costs_us[variant][-1]:.2f} µs")
    return Figure(
        1, "cost per request above plain Locust (PostgreSQL)", "µs",
        surplus(costs_us["streamlab"], costs_us["plain"]), MUST_US, MOONSHOT_US,
        peer=Peer(PEER, surplus(costs_us["timescale"], costs_us["peer plain"])), beats_peer=True,
    )  # fmt: skip


def _cost_us(place: Place, variant: str, count: int) -> float:
    name = variant.removeprefix("peer ")
    printed = place.run(
        "benchmarks.request_process", name, str(count), timeout_s=120, python=_python(variant),
        **_variables(place),
    )  # fmt: skip
    answer = json.loads(printed.splitlines()[-1])  # Locust may warn before
    if name != "plain":
        place.wait_recorders()
        stored = _stored(place, variant)
        assert stored == count, f"{variant}: {stored} of {count} requests are in the database"
    return float(answer["cost_us"])


def _loss(server: Server, rounds: int, seconds: int) -> Figure:
    outcomes: dict[str, list[Outcome]] = {"streamlab": [], "timescale": []}
    for variant in round_robin(tuple(outcomes), rounds):
        with _place(server, variant) as place:
            outcomes[variant].append(_with_restart(place, server, variant, seconds))
        progress(f"row 10, {variant}: {outcomes[variant][-1]}")
    own, peer = outcomes["streamlab"], outcomes["timescale"]
    return Figure(
        10, "requests lost when PostgreSQL restarts in mid-run", "", tuple(float(one.lost) for one in own),
        must=0.0,
        peer=Peer(PEER, tuple(float(one.lost) for one in peer)),
        details={
            "fired": float(own[-1].fired),
            "exit code": str(own[-1].exit_code),
            f"fired with the {PEER}": float(peer[-1].fired),
            "its run ended after, s": peer[-1].lasted_s,
            "its exit code": str(peer[-1].exit_code),
            "its last line": peer[-1].last_line,
        },
    )  # fmt: skip


def _with_restart(place: Place, server: Server, variant: str, seconds: int) -> Outcome:
    options = ["--timescale"] if variant == "timescale" else []
    with place.running(
        "locust", "-f", str(ROOT / "benchmarks" / "outage_locustfile.py"), "--headless", "--only-summary",
        "-u", "10", "-r", "10", "-t", f"{seconds}s", "--host", "http://127.0.0.1", *options,
        python=_python(variant), BENCH_VARIANT=variant, **_variables(place),
    ) as locust:  # fmt: skip
        counter = place.folder / "fired"
        wait_until(lambda: counter.exists() and _fired(counter) > 0, "the first request")
        began = time.monotonic()
        time.sleep(RESTART_AFTER * seconds)
        server.stop()
        server.start()
        code = locust.wait(END_S)
        lasted_s = time.monotonic() - began
    place.wait_recorders()
    lines = [line for line in (place.folder / "error.log").read_text().splitlines() if "ERROR" in line]
    last = lines[-1].rpartition("/ERROR/root: ")[2] if lines else "none"
    return Outcome(_fired(counter), _stored(place, variant), code, lasted_s, last[:100])


def _fired(counter: Path) -> int:
    data = counter.read_bytes()
    return int(struct.unpack("q", data)[0]) if len(data) == 8 else 0


@contextlib.contextmanager
def _place(server: Server, variant: str) -> Iterator[Place]:
    with place_on("postgresql", server) as place:
        if variant == "timescale":
            with psycopg.connect(place.storage.url, autocommit=True) as connection:
                for statement in peer_setup.schema():
                    connection.execute(statement.encode())
        yield place


def _python(variant: str) -> Path | None:
    return peer_setup.PYTHON if variant in ("timescale", "peer plain") else None


def _variables(place: Place) -> dict[str, str]:
    """Return where the database is, as the listener wants to know it."""
    parts = urlsplit(place.storage.url)
    return {
        "PGHOST": str(parts.hostname), "PGPORT": str(parts.port), "PGUSER": str(parts.username),
        "PGDATABASE": parts.path[1:],
    }  # fmt: skip


def _stored(place: Place, variant: str) -> int:
    if variant == "timescale":
        return int(place.storage.scalar("SELECT count(*) FROM request"))
    return place.storage.count_records()
