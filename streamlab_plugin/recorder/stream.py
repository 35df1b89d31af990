"""One Locust process's stream in a run: redact, judge, roll up, and collect what the next write stores.

`Stream.receive` is the recorder's hot path; it runs once per record.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any

import msgspec

from streamlab_plugin.core.record import FAULTED, OUTCOMES, WITHOUT_LATENCY
from streamlab_plugin.detect.judge import describe
from streamlab_plugin.knowledge.occurrence import OccurrenceKey, Occurrences
from streamlab_plugin.knowledge.signature import fingerprint
from streamlab_plugin.privacy.plan import Redactor
from streamlab_plugin.privacy.tally import marks
from streamlab_plugin.recorder.numbering import Numbering
from streamlab_plugin.recorder.rollup import Count, Counts
from streamlab_plugin.store.batch import Key, Kind, StreamWrite, storable

if TYPE_CHECKING:
    from streamlab_plugin.core.record import RawRecord
    from streamlab_plugin.detect.delivery import Role
    from streamlab_plugin.detect.drift import DriftFinding, DriftRule
    from streamlab_plugin.detect.rule import Rule
    from streamlab_plugin.link.message import CloseProcess, Frame
    from streamlab_plugin.privacy.pseudonym import Pseudonyms
    from streamlab_plugin.recorder.run import Run
    from streamlab_plugin.store.run_writer import ProcessRow

# More distinct series, shapes or errors than this per stream are counted under "(other)".
KEYS_LIMIT = 5_000
# The processor is offered to others after so many records (about 0.3 ms): where the recorder shares a core
# with the load generator or the target, a whole time slice of waiting would show in their round trips.
YIELD_RECORDS = 32
LAST_SECOND = 2**31 - 1
SIZE_LIMIT = 2**40
LATENCY_LIMIT_MS = 1e10
# Operations that have no answer of their own to wait for; a delivery's latency is the broker's all the same.
_UNANSWERED = WITHOUT_LATENCY | {"deliver"}
_OUTCOME_CODES: dict[str, int] = {name: code for code, name in enumerate(OUTCOMES)}
_encode = msgspec.json.encode


class Stream:
    """Turn the frames of one process into rows, rollups and occurrences."""

    def __init__(self, run: Run, process: str, row: ProcessRow, pseudonyms: Pseudonyms) -> None:
        self.run = run
        self.process = process
        self.last_frame = row.last_frame  # received
        self.produced = row.produced
        self.dropped: dict[str, int] = {}
        self.arrivals: dict[str, int] = {}
        self.users = 0
        self.seen_at = 0.0
        self.closed_at: float | None = None
        self.clock: tuple[float, float] | None = None
        self.is_closed = row.state == "closed"
        self.durable_frame = row.last_frame  # in the database or the spool
        self._taken_frame = row.last_frame  # handed to the writer or the spool
        self._quarantined = 0
        self._rules = run.settings.rules.rules
        self._judge = run.settings.judge
        self._judges_payload = any(
            comparison.field.startswith("payload.") for rule in self._rules for comparison in rule.condition
        )
        self._redactor = Redactor(run.settings.policy, pseudonyms)
        self._marks = lru_cache(maxsize=KEYS_LIMIT)(marks)
        self._found: Counter[str] = Counter()  # in error texts
        self._privacy_taken: dict[str, int] = {}
        self._pseudonym = pseudonyms.of
        self._counts = Counts()
        self._occurrences = Occurrences()
        self._keys: dict[Kind, dict[tuple[str, ...], Key]] = {"series": {}, "shapes": {}, "errors": {}}
        self._new_keys: list[Key] = []
        self._series = self._keys["series"]
        self._latest_shapes: dict[str, tuple[tuple[str, ...], Key]] = {}
        self._rows: list[Any] = []
        self._lean: list[Any] = []
        self._gauges: dict[int, int] = {}
        self._numbering = Numbering()

    @property
    def held(self) -> int:
        """Rows that wait for the next write."""
        return len(self._rows) + len(self._lean)

    def receive(self, frame: Frame) -> None:
        """Take in a frame; one that was seen before changes nothing."""
        if frame.number <= self.last_frame:
            return
        self.last_frame = frame.number
        self.produced, self.dropped, self.users = frame.produced, frame.dropped, frame.users
        self.arrivals = frame.arrivals
        self.seen_at = frame.at
        self._gauges[int(frame.at)] = frame.users
        self._quarantined += frame.unreadable
        for count, record in enumerate(frame.records):
            try:
                self._process(record)
            except Exception:  # noqa: BLE001 - guard line: one odd record must not stop the others
                self._quarantined += 1
            if not count % YIELD_RECORDS:
                os.sched_yield()

    def close(self, message: CloseProcess) -> None:
        """Take in the stream's final totals."""
        if message.number <= self.last_frame:
            return
        self.last_frame = message.number
        self.produced, self.dropped, self.closed_at = message.produced, message.dropped, message.closed_at
        self.arrivals, self.clock = message.arrivals, message.clock
        self.seen_at = message.closed_at
        self.is_closed = True

    def take(self) -> StreamWrite | None:
        """Return what came in since the last call, or None when nothing did."""
        if self.last_frame == self._taken_frame:
            return None
        counts = self._found + Counter(self._redactor.counts)
        privacy = {name: more for name in counts if (more := counts[name] - self._privacy_taken.get(name, 0))}
        # What may fail comes first: what was taken before would be forgotten.
        keys, occurrences = self._unstored_keys(), self._take_occurrences()
        write = StreamWrite(
            self.process, self.run.row.run_day, self._taken_frame, self.last_frame, self.produced,
            dict(self.dropped), self.users, self.seen_at, self._quarantined, privacy, self.closed_at, 0,
            keys, self._rows, self._lean, self._counts.take(), occurrences, list(self._gauges.items()),
            dict(self.arrivals), self._numbering.take(), self.clock,
        )  # fmt: skip
        self._taken_frame = self.last_frame
        self._privacy_taken = counts
        self._quarantined, self._gauges = 0, {}
        self._rows, self._lean = [], []
        return write

    def _unstored_keys(self) -> list[Key]:
        """Return the keys that have no integer yet; one that went to the spool may have none for long."""
        self._new_keys = [key for key in self._new_keys if key.id is None]
        return list(self._new_keys)

    def _take_occurrences(self) -> list[tuple[Any, ...]]:
        return [
            (
                *(storable(value) if isinstance(value, str) else value for value in row[:-1]),
                _encode(row.exemplars).decode(),
            )
            for row in self._occurrences.take_changed()
        ]

    def _process(self, record: RawRecord) -> None:
        (
            seq, protocol, operation, endpoint, direction, user_class, started_at, scheduled_at, latency_ms,
            wait_ms, size_bytes, payload, outcome, status, error_type, error_message, correlation_id, stream,
            stream_seq, fault,
        ) = record  # fmt: skip
        # Also refuses what is not a number; the limits are those of the columns and of the clock.
        if not (0 <= started_at < LAST_SECOND and 0 <= size_bytes < SIZE_LIMIT) or (
            latency_ms is not None and not -LATENCY_LIMIT_MS < latency_ms < LATENCY_LIMIT_MS
        ):
            raise ValueError("a time or size that cannot be")
        if wait_ms is not None and not 0 <= wait_ms < LATENCY_LIMIT_MS:
            raise ValueError("a wait that cannot be")
        kind = operation if fault is None else operation + FAULTED
        name = (protocol, kind, endpoint, direction, user_class)
        series = self._series.get(name) or self._key(
            "series", name, (protocol, kind, "(other)", direction, "")
        )
        shape = text = seen = drifted = None
        if payload is not None:
            redacted = self._redactor.redact_json(payload, endpoint)
            if redacted is not None:
                keys, values, schema_hash, paths = redacted
                shape = self._shape(schema_hash, keys)
                text = None if shape is None else _encode(values).decode()
                if self._judges_payload:
                    seen = dict(zip(keys, values, strict=True))
                if self.run.drift is not None and outcome == "success":
                    drifted = self.run.drift.observe(series.label, schema_hash, paths)
        error = None
        if error_type is not None:
            error = self._error(error_type, error_message or "")
            if error_message:
                self._found.update(self._marks(error_message))
        corr = None if correlation_id is None else self._pseudonym(correlation_id)
        matched = self._judge(
            protocol, operation, endpoint, direction, user_class, latency_ms, wait_ms, size_bytes, outcome,
            status, error_type, error_message, seen,
        )  # fmt: skip
        findings = None
        if matched or drifted is not None:
            findings = self._find(record, matched, drifted, seen, corr)
        code = _OUTCOME_CODES[outcome]  # an unknown one ends here, before anything is counted
        waited_ms = None if scheduled_at is None else wait_ms
        self._count(series, operation, outcome, status, started_at, latency_ms, waited_ms, size_bytes)
        if (
            error is None and findings is None and stream is None and wait_ms is None
            and stream_seq is None and scheduled_at is None and fault is None
        ):  # fmt: skip
            self._lean.append(
                (seq, series, started_at, latency_ms, size_bytes, shape, text, code, status, corr)
            )
            return
        place = None if stream is None else self._pseudonym(stream)
        if place is not None and stream_seq is not None:
            self._note_number(operation, outcome, fault, place, corr, series, stream_seq)
        self._rows.append(
            (
                seq, series, started_at, scheduled_at, latency_ms, wait_ms, size_bytes, shape, text, code,
                status, error, corr, place, stream_seq, fault, findings,
            )
        )  # fmt: skip

    def _note_number(
        self,
        operation: str,
        outcome: str,
        fault: str | None,
        stream: str,
        subscriber: str | None,
        series: Key,
        number: int,
    ) -> None:
        if operation == "publish":
            role: Role = "sent" if outcome == "success" and fault is None else "failed"
            self._numbering.note(role, stream, "", series, number)
        elif operation == "deliver" and subscriber is not None:
            self._numbering.note("got", stream, subscriber, series, number)

    def _count(
        self,
        series: Key,
        operation: str,
        outcome: str,
        status: int | None,
        started_at: float,
        latency_ms: float | None,
        waited_ms: float | None,
        size_bytes: int,
    ) -> None:
        name = (int(started_at + (latency_ms or 0.0) / 1000.0), series)
        counts = self._counts.by_second
        count = counts.get(name)
        if count is None:
            count = counts[name] = Count()
        count.requests += 1
        count.size_sum += size_bytes
        if outcome == "success":
            if operation not in _UNANSWERED:
                count.answered += 1
        elif outcome == "interrupted":
            count.interrupted += 1
            return
        else:
            count.errors += 1
            if outcome == "timeout":
                count.timeouts += 1
            elif status and operation not in _UNANSWERED:
                count.answered += 1
        if latency_ms is not None:
            if waited_ms is not None or count.responses_ms is not None:
                count.add_response(latency_ms + (waited_ms or 0.0))
            count.latencies_ms.append(latency_ms)

    def _find(
        self,
        record: RawRecord,
        matched: tuple[int, ...],
        drifted: DriftFinding | None,
        seen: Any,
        corr: str | None,
    ) -> str:
        """Count what the rules and the drift detector found, and return their names."""
        at = record.started_at + (record.latency_ms or 0.0) / 1000.0
        names = []
        for index in matched:
            rule = self._rules[index]
            names.append(rule.name)
            self._occur(
                rule, record, at, corr, partial(describe, rule, {**record._asdict(), "payload": seen})
            )
        drift = self.run.settings.rules.drift
        if drifted is not None and drift is not None:
            names.append(drift.name)
            message = drifted.message
            self._occur(drift, record, at, corr, lambda: message)
        return ",".join(names)

    def _occur(
        self,
        rule: Rule | DriftRule,
        record: RawRecord,
        at: float,
        corr: str | None,
        message: Callable[[], str],
    ) -> None:
        error_class = record.error_type or ""
        name = fingerprint(rule.anomaly_type, record.protocol, record.endpoint, error_class, rule.name)
        key = OccurrenceKey(
            name, rule.name, rule.anomaly_type, rule.severity, record.protocol, record.endpoint, error_class
        )

        def sample() -> tuple[str, dict[str, Any]]:
            return message(), {
                "seq": record.seq, "at": round(at, 3), "latency_ms": record.latency_ms,
                "status": record.status,
                "outcome": record.outcome, "error": record.error_message, "correlation_id": corr,
            }  # fmt: skip

        self._occurrences.add(key, at, sample)

    def _shape(self, schema_hash: str, keys: tuple[str, ...]) -> Key | None:
        """Return the shape's key, or None when there are too many: then the payload is not kept."""
        latest = self._latest_shapes.get(schema_hash)
        # The redactor gives the same tuple for the same shape, so identity saves hashing the names.
        if latest is not None and latest[0] is keys:
            return latest[1]
        shapes, name = self._keys["shapes"], (schema_hash, *keys)
        found = shapes.get(name)
        if found is None and len(shapes) < KEYS_LIMIT:
            found = self._remember("shapes", name, (schema_hash, _names(keys)))
        if found is not None:
            self._latest_shapes[schema_hash] = (keys, found)
        return found

    def _error(self, error_type: str, message: str) -> Key:
        name = (error_type, message)
        return self._keys["errors"].get(name) or self._key("errors", name, (error_type, "(other)"))

    def _key(self, kind: Kind, values: tuple[str, ...], other: tuple[str, ...]) -> Key:
        if len(self._keys[kind]) >= KEYS_LIMIT and values != other:
            return self._keys[kind].get(other) or self._remember(kind, other, other)
        return self._remember(kind, values, values)

    def _remember(self, kind: Kind, name: tuple[str, ...], values: tuple[str, ...]) -> Key:
        key = self._keys[kind][name] = Key(kind, values)
        self._new_keys.append(key)
        return key


def _names(keys: tuple[str, ...]) -> str:
    # PostgreSQL's JSON functions refuse a NUL even when it is escaped.
    return _encode(keys).decode().replace("\\u0000", "\\ufffd")
