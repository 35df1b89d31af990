"""Rows 5 and 6: how many clients one Locust process holds without an error, and what an idle one takes.

All is recorded. How many are connected is counted at the peer, by its descriptors.
"""

from __future__ import annotations

import contextlib
import json
import resource
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import text

from benchmarks.broker import running_broker
from benchmarks.figure import Figure, Peer
from benchmarks.load import run_locust, stored
from benchmarks.place import Place, new_place
from benchmarks.process import MEGABYTE, progress

# Faster than that, a broker whose queue of new connections is short makes some of them wait for seconds.
SPAWN_PER_S = 250
HOLD_S = 25.0
# Clients that are idle; enough that a megabyte more or less is noise.
IDLE_CLIENTS = 2_000
IDLE_HOLD_S = 3.0
# Until all are connected and settled; longer means that they never will be.
STARTING_S = 60.0


_FAILURES = text(
    "SELECT operation, outcome, error_type, count(*) FROM records_flat WHERE outcome IN ('error', 'timeout')"
    " GROUP BY operation, outcome, error_type"
)


@dataclass(frozen=True)
class Kind:
    """A protocol: how many clients there must be, how often each speaks, what an idle one may take (KB)."""

    label: str
    clients: int
    period_s: float
    memory_must: float
    memory_moonshot: float


KINDS = {
    "mqtt": Kind("MQTT", 5_000, 1.0, 60, 45),
    "websocket": Kind("WebSocket", 10_000, 10.0, 40, 25),
}


def measure(*, is_quick: bool) -> list[Figure]:
    """Hold many clients that speak, then some that do not."""
    raise_descriptor_limit()
    figures = []
    for protocol, kind in KINDS.items():
        figures.append(_held(protocol, kind, 50 if is_quick else kind.clients, 0.5 if is_quick else HOLD_S))
        progress(f"row 5, {kind.label}: {figures[-1].median:,.0f} {dict(figures[-1].details)}")
    idle, hold_s, rounds = (50, 0.5, 1) if is_quick else (IDLE_CLIENTS, IDLE_HOLD_S, 3)
    bare = tuple(_idle_kb("bare", idle, hold_s) for _round in range(rounds))
    for protocol, kind in KINDS.items():
        sizes = tuple(_idle_kb(protocol, idle, hold_s) for _round in range(rounds))
        progress(f"row 6, {kind.label}: {sizes} KB, {bare} KB without a connection")
        figures.append(
            Figure(
                6, f"memory per idle {kind.label} client", "KB", sizes, kind.memory_must,
                kind.memory_moonshot, peer=Peer("Locust user without a connection", bare),
                details={"clients": idle},
            )
        )  # fmt: skip
    return figures


def raise_descriptor_limit() -> None:
    """Let this process and all that it starts open as many descriptors as the machine allows."""
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _held(protocol: str, kind: Kind, clients: int, hold_s: float) -> Figure:
    """Return how many clients were connected throughout, less one for each error there was."""
    with new_place() as place:
        entries, held = _run(place, protocol, clients, kind.period_s, hold_s)
        errors = sum(one["num_failures"] for one in entries)
        said = next(one for one in entries if one["name"] == "request")
        found, fired = stored(place, "request"), said["num_requests"] - said["num_failures"]
        assert found >= fired, f"{found} of {fired} messages are in the database"
        failed = _failed(place)
    seconds = held["ended"] - held["began"]
    connected = min(held["connected"], held["least_at_peer"])
    return Figure(
        5, f"{kind.label} clients in one Locust process, each with a message every {kind.period_s:g} s", "",
        (max(0.0, connected - errors),), kind.clients, is_ceiling=False,
        details={
            "errors": f"{errors} ({failed})" if failed else errors,
            "messages/s": held["messages"] / seconds,
            "slowest answer, ms": said["max_response_time"],
            "Locust, cores": held["cpu_s"] / seconds,
            "Locust, MB": held["rss_after"] / MEGABYTE,
            "held for, s": seconds,
        },
    )  # fmt: skip


def _failed(place: Place) -> str:
    """Return what failed, and how often."""
    with place.storage.reader().connect() as connection:
        rows = connection.execute(_FAILURES).all()
    return ", ".join(f"{operation} {error or outcome} {count}" for operation, outcome, error, count in rows)


def _idle_kb(protocol: str, clients: int, hold_s: float) -> float:
    with new_place() as place:
        _entries, held = _run(place, protocol, clients, 0.0, hold_s)
    assert held["connected"] == clients, f"{held['connected']} of {clients} are connected"
    return float((held["rss_after"] - held["rss_before"]) / clients / 1_000)


def _run(
    place: Place, protocol: str, clients: int, period_s: float, hold_s: float
) -> tuple[list[dict[str, Any]], dict[str, float]]:
    """Return Locust's statistics and what the process saw while it held its clients."""
    with _peer(place, protocol) as (host, pid):
        entries = run_locust(
            place, "clients_locustfile.py", host, clients, clients / SPAWN_PER_S + hold_s + STARTING_S,
            spawn_rate=SPAWN_PER_S, BENCH_PROTOCOL=protocol, BENCH_PEER=str(pid),
            BENCH_PERIOD_S=str(period_s), BENCH_HOLD_S=str(hold_s),
        )  # fmt: skip
    held: dict[str, float] = json.loads((place.folder / "held.json").read_text())
    return entries, held


@contextlib.contextmanager
def _peer(place: Place, protocol: str) -> Iterator[tuple[str, int]]:
    """Run what the clients connect to; gives its URL and its process id."""
    if protocol == "mqtt":
        with running_broker(place.folder) as (port, process):
            yield f"mqtt://127.0.0.1:{port}", process.pid
    else:
        with place.running("benchmarks.target_process") as target:
            assert target.stdout is not None
            yield f"ws://127.0.0.1:{target.stdout.readline().strip()}", target.pid
