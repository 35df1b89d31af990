"""Row 11: what Streamlab says of a target whose answers take exactly 5 ms.

Target, generator and recorder share the machine, so the target itself reports what it really gave.
"""

from __future__ import annotations

import json
import subprocess
from typing import Any

from sqlalchemy import text

from benchmarks.clients import SPAWN_PER_S, STARTING_S, raise_descriptor_limit
from benchmarks.figure import Figure, percentile
from benchmarks.load import run_locust
from benchmarks.place import Place, new_place
from benchmarks.process import progress

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
    clients, saturating_s, hold_s = (50, 0.5, 1.0) if is_quick else (CLIENTS, 5.0, 20.0)
    return [figure for protocol in LABELS for figure in _measure(protocol, clients, saturating_s, hold_s)]


def _measure(protocol: str, clients: int, saturating_s: float, hold_s: float) -> list[Figure]:
    with new_place() as place:
        saturated, _given = _run(place, protocol, clients, _AT_ONCE_S, saturating_s)
    most = saturated["messages"] / (saturated["ended"] - saturated["began"])
    with new_place() as place:
        held, given = _run(place, protocol, clients, clients / (SHARE * most), hold_s)
        latencies, errors = _recorded(place, held)
    seconds = held["ended"] - held["began"]
    details: dict[str, float | str] = {
        "messages/s at saturation": most,
        "messages/s": len(latencies) / seconds,
        "errors": errors,
        "Locust, cores": held["cpu_s"] / seconds,
    }
    figures = []
    for percent, limit in LIMITS.items():
        measured, really = percentile(latencies, percent), given[f"p{percent}"]
        progress(f"row 11, {protocol} p{percent}: {measured:.2f} ms, the target gave {really:.2f} ms")
        figures.append(
            Figure(
                11, f"{LABELS[protocol]}, {clients:,} clients, error of p{percent}", "ms",
                (abs(measured - really),), limit,
                details={
                    "measured, ms": measured,
                    "the target gave, ms": really,
                    "measured, beyond 5 ms": measured - DELAY_MS,
                    **details,
                },
            )
        )  # fmt: skip
    return figures


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
