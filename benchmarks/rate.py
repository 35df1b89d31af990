"""Row 3: how fast users without wait time go with recording, against without.

Target, generator and recorder share the machine's cores, as on a developer's machine.
"""

from __future__ import annotations

from collections import defaultdict
from statistics import median

from benchmarks.figure import Figure, Peer, ratios
from benchmarks.load import busiest, rate, run_locust, stored
from benchmarks.place import new_place
from benchmarks.process import progress, round_robin
from benchmarks.stopwatch import used_s

VARIANTS = ("plain", "csv", "streamlab")
LIMITS = {"websocket": (0.72, 0.85), "http": (0.93, 0.98)}
USERS = 20
_LABELS = {"websocket": "WebSocket request/reply", "http": "FastHttpUser GET"}


def measure(*, is_quick: bool) -> list[Figure]:
    """Measure both protocols."""
    seconds, rounds = (2, 1) if is_quick else (8, 3)
    return [_measure(protocol, seconds, rounds) for protocol in LIMITS]


def _measure(protocol: str, seconds: int, rounds: int) -> Figure:
    measured: dict[str, dict[str, list[float]]] = {variant: defaultdict(list) for variant in VARIANTS}
    for variant in round_robin(VARIANTS, rounds):
        seen = _run(protocol, variant, seconds)
        for name, value in seen.items():
            measured[variant][name].append(value)
        progress(f"row 3, {protocol} {variant}: {seen['rate']:,.0f}/s, {seen['cpu_us']:.1f} µs")
    rates = {variant: measured[variant]["rate"] for variant in VARIANTS}
    details: dict[str, float | str] = {}
    for variant, label in (("plain", "plain Locust"), ("streamlab", "Streamlab")):
        details[f"{label}, /s"] = median(rates[variant])
        details[f"{label}, processor time of the Locust process each, µs"] = median(
            measured[variant]["cpu_us"]
        )
    must, moonshot = LIMITS[protocol]
    return Figure(
        3, f"{_LABELS[protocol]}, rate ÷ plain Locust's", "", ratios(rates["streamlab"], rates["plain"]),
        must, moonshot, is_ceiling=False,
        peer=Peer("CsvRequestLogger(flush_interval=1)", ratios(rates["csv"], rates["plain"])),
        details=details,
    )  # fmt: skip


def _run(protocol: str, variant: str, seconds: int) -> dict[str, float]:
    """Run once; all requests must have been answered and, with Streamlab, be stored."""
    with new_place() as place:
        with place.running("benchmarks.target_process") as target:
            assert target.stdout is not None
            port = target.stdout.readline().strip()
            scheme = "ws" if protocol == "websocket" else "http"
            entries = run_locust(
                place, "rate_locustfile.py", f"{scheme}://127.0.0.1:{port}", USERS, seconds,
                BENCH_VARIANT=variant, BENCH_PROTOCOL=protocol,
            )  # fmt: skip
        asked = busiest(entries)
        assert asked["num_failures"] == 0, f"{asked['num_failures']} requests failed"
        fired = asked["num_requests"]
        if variant == "streamlab":
            found = stored(place, "request")
            assert found >= fired, f"{found} of {fired} requests are in the database"
        return {"rate": rate(asked), "cpu_us": used_s(place.folder) * 1e6 / fired}
