"""Row 1: what recording costs per request inside the Locust process, beside Locust's own request logger."""

from __future__ import annotations

import json

from benchmarks.figure import Figure, Peer, surplus
from benchmarks.place import Place, new_place
from benchmarks.process import progress, round_robin

VARIANTS = ("plain", "csv", "streamlab", "payload")
MUST_US = 4.0
MOONSHOT_US = 2.5


def measure(*, is_quick: bool) -> list[Figure]:
    """Run each variant in fresh processes, in turn."""
    count, rounds = (10_000, 1) if is_quick else (100_000, 5)
    costs_us: dict[str, list[float]] = {variant: [] for variant in VARIANTS}
    for variant in round_robin(VARIANTS, rounds):
        with new_place() as place:
            costs_us[variant].append(_cost_us(place, variant, count))
    extra = {variant: surplus(costs_us[variant], costs_us["plain"]) for variant in VARIANTS}
    peer = Peer("CsvRequestLogger(flush_interval=1)", extra["csv"])
    return [
        Figure(1, "cost per request above plain Locust", "µs", extra["streamlab"], MUST_US, MOONSHOT_US,
               peer=peer, beats_peer=True),
        Figure(1, "cost per request above plain Locust, with a 12-field payload", "µs", extra["payload"],
               MUST_US, MOONSHOT_US, peer=peer, beats_peer=True),
    ]  # fmt: skip


def _cost_us(place: Place, variant: str, count: int) -> float:
    answer = json.loads(place.run("benchmarks.request_process", variant, str(count), timeout_s=60))
    progress(f"row 1, {variant}: {answer['cost_us']:.2f} µs")
    assert answer["fired"] == count, f"Locust counted {answer['fired']} of {count}"
    if place.storage.exists():
        place.wait_recorders()
        stored = place.storage.count_records()
        assert stored == count, f"{stored} of {count} requests are in the database"
    return float(answer["cost_us"])
