"""Row 3: how fast users without wait time go with recording, against without.

Target, generator and recorder share the machine's cores, as on a developer's machine.
"""

from __future__ import annotations

import json
from typing import Any

from benchmarks.figure import Figure, Peer, ratios
from benchmarks.place import ROOT, Place, new_place
from benchmarks.process import progress, round_robin

VARIANTS = ("plain", "csv", "streamlab")
LIMITS = {"websocket": (0.72, 0.85), "http": (0.93, 0.98)}
USERS = 20
_LABELS = {"websocket": "WebSocket request/reply", "http": "FastHttpUser GET"}


def measure(*, is_quick: bool) -> list[Figure]:
    """Measure both protocols."""
    seconds, rounds = (1, 1) if is_quick else (8, 3)
    return [_measure(protocol, seconds, rounds) for protocol in LIMITS]


def _measure(protocol: str, seconds: int, rounds: int) -> Figure:
    rates: dict[str, list[float]] = {variant: [] for variant in VARIANTS}
    for variant in round_robin(VARIANTS, rounds):
        with new_place() as place:
            rates[variant].append(_rate(place, protocol, variant, seconds))
        progress(f"row 3, {protocol} {variant}: {rates[variant][-1]:,.0f}/s")
    must, moonshot = LIMITS[protocol]
    return Figure(
        3, f"{_LABELS[protocol]}, rate ÷ plain Locust's", "", ratios(rates["streamlab"], rates["plain"]),
        must, moonshot, is_ceiling=False,
        peer=Peer("CsvRequestLogger(flush_interval=1)", ratios(rates["csv"], rates["plain"])),
    )  # fmt: skip


def _rate(place: Place, protocol: str, variant: str, seconds: int) -> float:
    """Return the requests per second of one Locust run, after checking that all were answered and stored."""
    with place.running("benchmarks.target_process") as target:
        assert target.stdout is not None
        port = target.stdout.readline().strip()
        scheme = "ws" if protocol == "websocket" else "http"
        place.run(
            "locust", "-f", str(ROOT / "benchmarks" / "rate_locustfile.py"), "--headless", "--only-summary",
            "-u", str(USERS), "-r", str(USERS), "-t", f"{seconds}s", "--host", f"{scheme}://127.0.0.1:{port}",
            "--json-file", "stats", timeout_s=seconds + 60, BENCH_VARIANT=variant, BENCH_PROTOCOL=protocol,
        )  # fmt: skip
    (entry,) = [one for one in _stats(place) if one["name"] == "request"]
    assert entry["num_failures"] == 0, f"{entry['num_failures']} requests failed"
    if variant == "streamlab":
        place.wait_recorders()
        stored = _stored(place)
        assert stored >= entry["num_requests"], (
            f"{stored} of {entry['num_requests']} requests are in the database"
        )
    return float(entry["num_requests"] / (entry["last_request_timestamp"] - entry["start_time"]))


def _stats(place: Place) -> list[dict[str, Any]]:
    (path,) = place.folder.glob("stats*")
    entries: list[dict[str, Any]] = json.loads(path.read_text())
    return entries


def _stored(place: Place) -> int:
    query = "SELECT count(*) FROM records_flat WHERE endpoint = 'request' AND outcome = 'success'"
    return int(place.storage.scalar(query))
