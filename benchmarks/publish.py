"""Row 4: MQTT QoS 1 publishes per second of Streamlab's user, recorded, against Locust's own, unrecorded.

Both wait for each acknowledgement before they publish again. Broker, generator and recorder share the
machine.
"""

from __future__ import annotations

from collections import defaultdict
from statistics import median

from benchmarks.broker import running_broker
from benchmarks.figure import Figure, Peer, ratios
from benchmarks.load import busiest, rate, run_locust, stored
from benchmarks.place import new_place
from benchmarks.process import progress, round_robin
from benchmarks.stopwatch import used_s

VARIANTS = ("plain", "selectors", "streamlab")
CLIENTS = (50, 300)
MUST, MOONSHOT = 1.8, 2.3

Measured = dict[str, dict[str, list[float]]]


def measure(*, is_quick: bool) -> list[Figure]:
    """Measure with few and with many clients."""
    seconds, rounds = (2, 1) if is_quick else (8, 3)
    return [_measure(clients, seconds, rounds) for clients in ((5,) if is_quick else CLIENTS)]


def _measure(clients: int, seconds: int, rounds: int) -> Figure:
    measured: Measured = {variant: defaultdict(list) for variant in VARIANTS}
    for variant in round_robin(VARIANTS, rounds):
        seen = _run(variant, clients, seconds)
        for name, value in seen.items():
            measured[variant][name].append(value)
        progress(
            f"row 4, {clients} clients, {variant}: {seen['rate']:,.0f}/s, {seen['cpu_us']:.1f} µs,"
            f" {seen['failures']:.0f} failures"
        )
    rates = {variant: measured[variant]["rate"] for variant in VARIANTS}
    details: dict[str, float | str] = {}
    for variant, label in (("plain", "Locust's user"), ("streamlab", "Streamlab's")):
        details[f"{label}, /s"] = median(measured[variant]["rate"])
        details[f"{label}, processor time per publish, µs"] = median(measured[variant]["cpu_us"])
    details["failures of Locust's user"] = sum(measured["plain"]["failures"])
    return Figure(
        4, f"MQTT QoS 1 publishes with {clients} clients, recorded, rate ÷ that of Locust's MqttUser", "",
        ratios(rates["streamlab"], rates["plain"]), MUST, MOONSHOT, is_ceiling=False,
        peer=Peer("Locust's, use_loop_selectors", ratios(rates["selectors"], rates["plain"])),
        details=details,
    )  # fmt: skip


def _run(variant: str, clients: int, seconds: int) -> dict[str, float]:
    """Run once; every publish of Streamlab's must have succeeded and be stored."""
    with new_place() as place:
        with running_broker(place.folder) as (port, _process):
            entries = run_locust(
                place, "publish_locustfile.py", f"mqtt://127.0.0.1:{port}", clients, seconds,
                BENCH_VARIANT=variant,
            )  # fmt: skip
        published = busiest(entries)
        failures = sum(one["num_failures"] for one in entries)
        if variant == "streamlab":
            assert failures == 0, f"{failures} requests failed"
            found, fired = stored(place, "publish"), published["num_requests"]
            assert found >= fired, f"{found} of {fired} publishes are in the database"
        return {
            "rate": rate(published),
            "cpu_us": used_s(place.folder) * 1e6 / published["num_requests"],
            "failures": failures,
        }
