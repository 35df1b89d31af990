"""When the demo target misbehaves, decided by a seed and the duration alone.

The plan is written for 60 seconds and scaled. Five windows follow one another between second 8 and 50, so
that a baseline exists before the first and the last is found before the end; the renamed field comes half-way
and stays.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

Kind = Literal[
    "latency_spike", "rate_limit", "server_errors", "websocket_drops", "slow_topic", "field_rename"
]

ITEMS = "/api/v1/items"
ITEM = "/api/v1/items/{id}"
ORDERS = "/api/v1/orders"
PROFILE = "/api/v1/profile/{id}"
TELEMETRY = "/api/v1/telemetry"
WEBSOCKET = "/ws/mobile/sync/"
SLOW_TOPIC = "devices/{uuid}/slow"  # as Streamlab names it when the device id is a UUID

# The plan for a run of this many seconds; everything is scaled from here.
_PLAN_S = 60.0
_FIRST_S, _LAST_S = 8.0, 50.0
_WINDOW_S = (5.0, 6.5)
_RENAME_S = (28.0, 31.0)


@dataclass(frozen=True, slots=True)
class Misbehaviour:
    """One entry of the schedule: from ``at_s`` until before ``until_s``, seconds after the first request.

    ``expected_type`` is the anomaly type it must lead to, ``endpoint`` the template of what is affected;
    ``delay_ms`` is what a latency kind adds to each answer or delivery, else 0.
    """

    kind: Kind
    at_s: float
    until_s: float
    what: str
    expected_type: str
    endpoint: str
    delay_ms: float = 0.0


@dataclass(frozen=True, slots=True)
class Schedule:
    """All misbehaviours of one run by kind, in the order in which they begin."""

    duration_s: float
    seed: int
    entries: Mapping[Kind, Misbehaviour]

    def active(self, kind: Kind, elapsed_s: float) -> Misbehaviour | None:
        """Return the entry of *kind* if it is going on at *elapsed_s*; a renamed field never comes back."""
        entry = self.entries[kind]
        if elapsed_s < entry.at_s or (elapsed_s >= entry.until_s and kind != "field_rename"):
            return None
        return entry

    def as_json(self) -> list[dict[str, Any]]:
        """Return the entries as plain values for JSON."""
        return [asdict(entry) for entry in self.entries.values()]

    def lines(self) -> list[str]:
        """Return the schedule as lines for people."""
        return [
            f"{entry.at_s:6.1f} s to {entry.until_s:6.1f} s  {entry.endpoint:<22} {entry.what}"
            for entry in self.entries.values()
        ]


def build_schedule(duration_s: float, seed: int) -> Schedule:
    """Return the schedule of a run.

    Args:
        duration_s: Length of the run in seconds.
        seed: Decides order, positions, lengths and delays.

    Raises:
        ValueError: *duration_s* is not positive.
    """
    if not duration_s > 0:
        raise ValueError(f"duration must be above 0 seconds, got {duration_s:g}")
    rng = random.Random(f"streamlab demo schedule {seed}")
    scale = duration_s / _PLAN_S
    windows: list[Kind] = ["latency_spike", "rate_limit", "server_errors", "websocket_drops", "slow_topic"]
    rng.shuffle(windows)
    slot_s = (_LAST_S - _FIRST_S) / len(windows)
    found = []
    for number, kind in enumerate(windows):
        length_s = rng.uniform(*_WINDOW_S)
        at_s = _FIRST_S + number * slot_s + rng.uniform(0, slot_s - length_s)
        found.append(_entry(kind, at_s * scale, (at_s + length_s) * scale, rng))
    found.append(_entry("field_rename", rng.uniform(*_RENAME_S) * scale, duration_s, rng))
    found.sort(key=lambda entry: entry.at_s)
    return Schedule(duration_s, seed, {entry.kind: entry for entry in found})


def _entry(kind: Kind, at_s: float, until_s: float, rng: random.Random) -> Misbehaviour:
    at_s, until_s = round(at_s, 2), round(until_s, 2)
    match kind:
        case "latency_spike":
            delay_ms = float(rng.randrange(300, 601))
            what = f"answers take {delay_ms:.0f} ms longer"
            return Misbehaviour(kind, at_s, until_s, what, "slow_http", ITEMS, delay_ms)
        case "rate_limit":
            return Misbehaviour(kind, at_s, until_s, "every order gets a 429", "rate_limited", ORDERS)
        case "server_errors":
            return Misbehaviour(kind, at_s, until_s, "every profile gets a 503", "server_error", PROFILE)
        case "websocket_drops":
            what = "connections are cut without a close frame"
            return Misbehaviour(kind, at_s, until_s, what, "websocket_abnormal_close", WEBSOCKET)
        case "slow_topic":
            delay_ms = float(rng.randrange(120, 201))
            what = f"deliveries take {delay_ms:.0f} ms longer"
            return Misbehaviour(kind, at_s, until_s, what, "slow_mqtt", SLOW_TOPIC, delay_ms)
        case "field_rename":
            what = "quality_score is renamed to qualityScore"
            return Misbehaviour(kind, at_s, until_s, what, "schema_drift", TELEMETRY)
