"""Row 11: what Streamlab says of a target whose answers take exactly 5 ms.

Target, generator and recorder share the machine, so the target itself reports what it really gave.
"""

from __future__ import annotations

import json
import subprocess
from typing import Any, NamedTuple

from sqlalchemy import text

from benchmarks.clients import SPAWN_PER_S, STARTING_S, raise_descriptor_limit
from benchmarks.figure import Figure, percentile
from benchmarks.load import run_locust
from benchmarks.place import Place, new_place
from benchmarks.process import progress, round_robin

DELAY_MS = 5.0
CLIENTS = 1_000
# Of the rate that is reached without wait time.
SHARE = 0.5
LIMITS = {50: 1.0, 99: 5.0}
LABELS = {"websocket": "WebSocket", "http": "HTTP", "mqtt": "MQTT QoS 1"}
_SCHEMES = {"websocket": "ws", "http": "http", "mqtt": "mqtt"}
# A pause that is over before the answer is: nobody ever waits.
_AT_ONCE_S = 0.000_001

_LATENCIES = text(
    "SELECT latency_ms, outcome FROM records_flat"
    " WHERE endpoint = 'request' AND started_at BETWEEN :began AND :ended"
)


def measure(*, is_quick: bool) -> list[Figure]:
    """Measure each protocol: first how much goes, then half of that."""
    raise_descriptor_limit()
    clients, saturating_s, hold_s, rounds = (50, 0.5, 1.0, 1) if is_quick else (CLIENTS, 5.0, 15.0, 3)
    seen: dict[str, list[_Seen]] = {protocol: [] for protocol in LABELS}
    for protocol in round_robin(tuple(LABELS), rounds):
        seen[protocol].append(_look(protocol, clients, saturating_s, hold_s))
    return [
        _figure(f"{label}, {clients:,} clients", percent, seen[protocol])
        for protocol, label in LABELS.items()
        for percent in LIMITS
    ]


class _Seen(NamedTuple):
    """One round with one protocol: percentiles (ms), as Streamlab stored them and as the target gave them."""

    measured: dict[int, float]
    given: dict[int, float]
    details: dict[str, float]

    def error(self, percent: int) -> float:
        """Return how far the measured percentile is from the given one, ms."""
        return abs(self.measured[percent] - self.given[percent])


def _look(protocol: str, clients: int, saturating_s: float, hold_s: float) -> _Seen:
    with new_place() as place:
        saturated, _given = _run(place, protocol, clients, _AT_ONCE_S, saturating_s)
    most = saturated["messages"] / (saturated["ended"] - saturated["began"])
    with new_place() as place:
        held, given = _run(place, protocol, clients, clients / (SHARE * most), hold_s)
        latencies, errors = _recorded(place, held)
    seconds = held["ended"] - held["began"]
    details = {
        "messages/s at saturation": most,
        "messages/s": len(latencies) / seconds,
        "errors": float(errors),
        "Locust, cores": held["cpu_s"] / seconds,
    }
    seen = _Seen(
        {percent: percentile(latencies, percent) for percent in LIMITS},
        {percent: given[f"p{percent}"] for percent in LIMITS},
        details,
    )
    for percent in LIMITS:
        progress(
            f"row 11, {protocol} p{percent}: {seen.measured[percent]:.2f} ms,"
            f" the target gave {seen.given[percent]:.2f} ms"
        )
    return seen


def _figure(what: str, percent: int, rounds: list[_Seen]) -> Figure:
    """Return the error of a percentile, with the details of the round in the middle."""
    ordered = sorted(rounds, key=lambda seen: seen.error(percent))
    middle = ordered[(len(ordered) - 1) // 2]
    return Figure(
        11, f"{what}, error of p{percent}", "ms",
        tuple(seen.error(percent) for seen in rounds), LIMITS[percent],
        details={
            "measured, ms": middle.measured[percent],
            "the target gave, ms": middle.given[percent],
            "measured, beyond 5 ms": middle.measured[percent] - DELAY_MS,
            **middle.details,
        },
    )  # fmt: skip


def _run(
    place: Place, protocol: str, clients: int, period_s: float, hold_s: float
) -> tuple[dict[str, float], dict[str, float]]:
    """Return what Locust's process saw, and what the target gave meanwhile."""
    with place.running("benchmarks.delaying_process", str(DELAY_MS)) as target:
        assert target.stdout is not None
        port = target.stdout.readline().strip()
        run_locust(
            place, "clients_locustfile.py", f"{_SCHEMES[protocol]}://127.0.0.1:{port}", clients,
            clients / SPAWN_PER_S + hold_s + STARTING_S, spawn_rate=SPAWN_PER_S,
            BENCH_PROTOCOL=protocol, BENCH_PEER=str(target.pid), BENCH_PERIOD_S=str(period_s),
            BENCH_HOLD_S=str(hold_s),
        )  # fmt: skip
        held: dict[str, float] = json.loads((place.folder / "held.json").read_text())
        return held, _asked(target, f"{held['began']} {held['ended']}")


def _asked(target: subprocess.Popen[str], question: str) -> dict[str, float]:
    assert target.stdin is not None
    assert target.stdout is not None
    target.stdin.write(f"{question}\n")
    target.stdin.flush()
    answer: dict[str, float] = json.loads(target.stdout.readline())
    return answer


def _recorded(place: Place, held: dict[str, Any]) -> tuple[list[float], int]:
    """Return the latencies (ms) of what began while all were held, and how many of these failed."""
    place.wait_recorders()
    with place.storage.reader().connect() as connection:
        rows = connection.execute(_LATENCIES, {"began": held["began"], "ended": held["ended"]}).all()
    good = [float(latency_ms) for latency_ms, outcome in rows if outcome == "success"]
    failed = sum(outcome in ("error", "timeout") for _latency_ms, outcome in rows)
    return good, failed
