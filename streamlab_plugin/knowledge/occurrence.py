"""Counting findings so that a rule which fires on every request stays cheap.

Findings are counted per signature and ten seconds, with a few exemplars each; the recorder stores the counts,
not the findings.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from streamlab_plugin.knowledge.signature import worst

PERIOD_S = 10
EXEMPLARS = 3
KEPT_S = 60
BUCKET_LIMIT = 5_000

Sample = Callable[[], tuple[str, Mapping[str, object]]]
"""Builds (message, exemplar) of one finding; called only while exemplars are wanted."""


class OccurrenceKey(NamedTuple):
    """What an occurrence is of; the fingerprint alone decides which findings are counted together."""

    fingerprint: str
    rule: str
    anomaly_type: str
    severity: str
    protocol: str
    endpoint: str
    error_class: str


class OccurrenceRow(NamedTuple):
    """What a bucket gained since it was last taken: *count* is to be added, the rest to be widened.

    Fields are the columns of the table ``occurrences`` behind ``process_id``, in their order.
    *start* is an epoch second and a multiple of 10; *message* is the first finding's; *severity* the gravest;
    *exemplars* all that the bucket has.
    """

    fingerprint: str
    start: int
    count: int  # type: ignore[assignment]  # hides tuple.count, which nobody needs here
    first_at: float
    last_at: float
    rule: str
    anomaly_type: str
    severity: str
    protocol: str
    endpoint: str
    error_class: str
    message: str
    exemplars: tuple[Mapping[str, object], ...]


class _Bucket:
    """The growing form of a row; *taken* is its count when it was last returned."""

    __slots__ = ("count", "exemplars", "first_at", "key", "last_at", "message", "severity", "taken")

    def __init__(self, key: OccurrenceKey, at: float) -> None:
        self.key = key
        self.severity = key.severity
        self.count = 0
        self.first_at = at
        self.last_at = at
        self.message = ""
        self.exemplars: list[Mapping[str, object]] = []
        self.taken = 0

    def row(self, start: int) -> OccurrenceRow:
        key = self.key
        return OccurrenceRow(
            key.fingerprint,
            start,
            self.count - self.taken,
            self.first_at,
            self.last_at,
            key.rule,
            key.anomaly_type,
            self.severity,
            key.protocol,
            key.endpoint,
            key.error_class,
            self.message,
            tuple(self.exemplars),
        )


class Occurrences:
    """Count the findings of one process's stream.

    Bounded: beyond 5,000 live buckets, findings that need a new one are counted in ``overflowed`` only.
    """

    def __init__(self) -> None:
        self.overflowed = 0
        self._live: dict[tuple[str, int], _Bucket] = {}
        # Buckets that start before this are forgotten and must not begin again from zero.
        self._horizon = 0

    def add(self, key: OccurrenceKey, at: float, sample: Sample) -> None:
        """Count one finding.

        Args:
            key: What was found.
            at: Epoch second of the record; one that is older than all live buckets counts in the oldest.
            sample: Called for the first three findings of a bucket only.
        """
        start = int(at) // PERIOD_S * PERIOD_S
        if start < self._horizon:
            start = self._horizon
        bucket = self._live.get((key.fingerprint, start))
        if bucket is None:
            if len(self._live) >= BUCKET_LIMIT:
                self.overflowed += 1
                return
            bucket = self._live[key.fingerprint, start] = _Bucket(key, at)
        bucket.count += 1
        if at > bucket.last_at:
            bucket.last_at = at
        elif at < bucket.first_at:
            bucket.first_at = at
        if key.severity != bucket.severity:
            bucket.severity = worst(key.severity, bucket.severity)
        if len(bucket.exemplars) < EXEMPLARS:
            message, exemplar = sample()
            bucket.message = bucket.message or message
            bucket.exemplars.append(exemplar)

    def take_changed(self) -> list[OccurrenceRow]:
        """Return the rows that grew since the last call and forget buckets that ended a minute ago.

        A minute ago by the newest record, not by the clock: after a standstill nothing is lost.
        """
        rows = []
        for (_, start), bucket in self._live.items():
            if bucket.count != bucket.taken:
                rows.append(bucket.row(start))
                bucket.taken = bucket.count
        self._forget()
        return rows

    def _forget(self) -> None:
        newest = max((bucket.last_at for bucket in self._live.values()), default=0.0)
        self._horizon = max(self._horizon, int(newest - KEPT_S) // PERIOD_S * PERIOD_S)
        for identity in [one for one in self._live if one[1] < self._horizon]:
            del self._live[identity]
