"""What the recorder hands to the writer: everything that one transaction stores.

Rows refer to `Key` objects; the writer gives a key its integer on first use, so that the pipeline never
waits for the database.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

Kind = Literal["series", "shapes", "errors"]


class Key:
    """A row of ``series``, ``shapes`` or ``errors``; ``id`` is None until it is stored."""

    __slots__ = ("id", "kind", "label", "values")

    def __init__(self, kind: Kind, values: tuple[str, ...]) -> None:
        self.kind = kind
        self.values = values
        self.label = " ".join(values[:3])  # a series: protocol, operation, endpoint
        self.id: int | None = None


class Row(NamedTuple):
    """One row of ``records`` except its day and process; times and units as in the table."""

    seq: int
    series: Key
    started_at: float
    scheduled_at: float | None
    latency_ms: float | None
    wait_ms: float | None
    size_bytes: int
    shape: Key | None
    payload: str | None
    outcome: int
    status: int | None
    error: Key | None
    correlation_id: str | None
    stream: str | None
    stream_seq: int | None
    fault: str | None
    findings: str | None


class LeanRow(NamedTuple):
    """A `Row` without the columns that most records leave empty; stored at half the cost."""

    seq: int
    series: Key
    started_at: float
    latency_ms: float | None
    size_bytes: int
    shape: Key | None
    payload: str | None
    outcome: int
    status: int | None
    correlation_id: str | None


class RollupRow(NamedTuple):
    """One cumulative row of ``rollups`` except its process."""

    period_s: int
    start: int
    series: Key
    requests: int
    errors: int
    timeouts: int
    interrupted: int
    answered: int
    latency_count: int
    latency_sum: float
    latency_min: float | None
    latency_max: float | None
    size_sum: int
    sketch: bytes | None


@dataclass(slots=True)
class StreamWrite:
    """What one process's stream adds; ``last_frame`` follows ``previous_frame`` in the same transaction."""

    process_id: int
    run_day: int
    previous_frame: int
    last_frame: int
    produced: int
    quarantined: int
    dropped: dict[str, int]
    privacy: dict[str, int]
    users: int
    closed_at: float | None = None
    rows: list[Any] = field(default_factory=list)  # tuples in the order of Row
    lean: list[Any] = field(default_factory=list)  # tuples in the order of LeanRow
    rollups: list[RollupRow] = field(default_factory=list)
    occurrences: list[tuple[Any, ...]] = field(default_factory=list)  # columns of the table after process_id
    gauges: list[tuple[int, int]] = field(default_factory=list)  # epoch second, users
