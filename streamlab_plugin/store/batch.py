"""What the recorder hands to the writer or the spool: everything that one transaction stores.

Everything in a batch is an increment or a total, and refers to names instead of integer keys: a batch can be
written down, and stored later by another recorder. Rows refer to `Key` objects, which get their integer when
they are first stored, so that the pipeline never waits for the database.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, NamedTuple

Kind = Literal["series", "shapes", "errors"]
# Texts of a key that are longer are cut: PostgreSQL indexes at most 2.7 kB of them together.
_LIMIT_BYTES = {"series": 500, "errors": 1_200, "shapes": 16_000_000}


class Key:
    """A row of ``series``, ``shapes`` or ``errors``; ``id`` is None until it is stored."""

    __slots__ = ("id", "kind", "label", "values")

    def __init__(self, kind: Kind, values: tuple[str, ...]) -> None:
        self.kind = kind
        self.values = tuple(storable(value, _LIMIT_BYTES[kind]) for value in values)
        self.label = " ".join(self.values[:3])  # a series: protocol, operation, endpoint
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


class Delta(NamedTuple):
    """What one series did in one second since the last batch.

    ``latencies_ms`` are float32, and so are ``responses_ms``: the same requests with the time before them, or
    None where no schedule started any of them.
    """

    second: int
    series: Key
    requests: int
    errors: int
    timeouts: int
    interrupted: int
    answered: int
    size_sum: int
    latencies_ms: Any
    latency_sum: float
    latency_min: float | None
    latency_max: float | None
    responses_ms: Any = None


class Numbers(NamedTuple):
    """Numbers of one stream as one side saw them, see `detect.delivery`.

    ``bounds`` are first and last number of each run without a gap, in the order in which they came.
    """

    role: str
    stream: str
    subscriber: str
    series: Key
    bounds: list[int]


@dataclass(slots=True)
class StreamWrite:
    """What one process's stream adds.

    It is stored only if the stream's ``last_frame`` is still ``previous_frame``, and advances it in the same
    transaction. ``produced``, ``dropped``, ``users`` and ``arrivals`` are totals; everything else counts from
    the last batch on. ``evicted`` counts raw records that had to go after they were rolled up, and ``erased``
    those that were erased while the batch waited in the spool.
    """

    process: str
    run_day: int
    previous_frame: int
    last_frame: int
    produced: int
    dropped: dict[str, int]
    users: int
    seen_at: float
    quarantined: int = 0
    privacy: dict[str, int] = field(default_factory=dict)
    closed_at: float | None = None
    evicted: int = 0
    keys: list[Key] = field(default_factory=list)  # that no earlier batch of this stream had
    rows: list[Any] = field(default_factory=list)  # tuples in the order of Row
    lean: list[Any] = field(default_factory=list)  # tuples in the order of LeanRow
    deltas: list[Delta] = field(default_factory=list)
    occurrences: list[tuple[Any, ...]] = field(default_factory=list)  # columns of the table after process_id
    gauges: list[tuple[int, int]] = field(default_factory=list)  # epoch second, users
    arrivals: dict[str, int] = field(default_factory=dict)  # empty without a schedule
    numbers: list[Numbers] = field(default_factory=list)
    clock: tuple[float, float] | None = None  # of a worker at its end: offset and uncertainty, milliseconds
    erased: int = 0

    @property
    def records(self) -> int:
        """How many raw records it holds."""
        return len(self.rows) + len(self.lean)

    def without_rows(self) -> StreamWrite:
        """Return it with its totals alone, its records counted as quarantined."""
        return replace(
            self, rows=[], lean=[], deltas=[], occurrences=[], gauges=[], numbers=[],
            quarantined=self.quarantined + self.records,
        )  # fmt: skip


def joined(writes: Sequence[StreamWrite]) -> StreamWrite:
    """Return several batches of one stream, in order and without a gap, as one that has the same effect."""
    privacy: Counter[str] = Counter()
    occurrences: dict[tuple[str, int], tuple[Any, ...]] = {}
    for write in writes:
        privacy.update(write.privacy)
        for row in write.occurrences:
            known = occurrences.get(row[:2])
            occurrences[row[:2]] = row if known is None else _added(known, row)
    return replace(
        writes[-1],
        previous_frame=writes[0].previous_frame,
        quarantined=sum(write.quarantined for write in writes),
        privacy=dict(privacy),
        evicted=sum(write.evicted for write in writes),
        erased=sum(write.erased for write in writes),
        keys=[key for write in writes for key in write.keys],
        rows=[row for write in writes for row in write.rows],
        lean=[row for write in writes for row in write.lean],
        deltas=[delta for write in writes for delta in write.deltas],
        occurrences=list(occurrences.values()),
        gauges=list(dict(gauge for write in writes for gauge in write.gauges).items()),
        numbers=[one for write in writes for one in write.numbers],
    )


def _added(known: tuple[Any, ...], more: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return an occurrence to which more was added: what the table does when the row is there."""
    name, (count, first_at, last_at), about = known[:2], known[2:5], known[5:]
    return (
        *name, count + more[2], min(first_at, more[3]), max(last_at, more[4]),
        *about[:2], more[7], *about[3:-1], more[-1],
    )  # fmt: skip


def storable(text: str, limit_bytes: int = 1_000) -> str:
    """Return *text* without what no database takes: NUL, lone surrogates, too many bytes in UTF-8."""
    if "\x00" in text:
        text = text.replace("\x00", "\ufffd")
    if len(text) <= limit_bytes and text.isascii():
        return text
    data = text.encode("utf-8", "replace")
    if len(data) <= limit_bytes:
        return data.decode()
    return data[: limit_bytes - 3].decode("utf-8", "ignore") + "…"
