"""The owner's eye on a run: each second, window rules over all workers, signatures and their fixes.

Only the recorder beside the standalone or master process does this, so that a signature has one writer. It
reads what all recorders stored, two seconds late.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from streamlab_plugin.detect.window import (
    ERROR_RATE,
    LATE_ARRIVALS,
    WindowCount,
    WindowRule,
    evaluate_windows,
)
from streamlab_plugin.knowledge.fix import suggest
from streamlab_plugin.knowledge.occurrence import PERIOD_S, OccurrenceKey, Occurrences
from streamlab_plugin.knowledge.signature import fingerprint, worst
from streamlab_plugin.recorder.punctuality import Punctuality
from streamlab_plugin.store import run_writer, signature_writer
from streamlab_plugin.store.finding_queries import OccurrenceCount, occurrences_since
from streamlab_plugin.store.live_queries import Counts, second_counts
from streamlab_plugin.store.run_queries import run_arrivals

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from streamlab_plugin.recorder.run import Run

LATE_S = 2
LOOK_BACK_S = 60
# Counts of window findings are remembered this long; their buckets are 10 s wide.
KEEP_S = 120
# Where a finding about the schedule belongs: no endpoint, the load generator itself (protocol, endpoint).
GENERATOR = ("other", "(load generator)")


class Known:
    """A signature as far as this run knows it."""

    __slots__ = ("first_at", "last_at", "severity")

    def __init__(self, row: OccurrenceCount) -> None:
        self.first_at = row.first_at
        self.last_at = row.last_at
        self.severity = row.severity

    def widen(self, row: OccurrenceCount) -> None:
        """Take in another occurrence."""
        self.first_at = min(self.first_at, row.first_at)
        self.last_at = max(self.last_at, row.last_at)
        self.severity = worst(self.severity, row.severity)


class Watch:
    """Evaluate windows and keep signatures for one run.

    Args:
        process: The owner's process; window findings are stored as its occurrences.
    """

    def __init__(self, run: Run, process: str) -> None:
        self._run = run
        self._process = process
        self._process_key: int | None = None
        self._known: dict[str, Known] = {}
        self._windows = Occurrences()
        self._window_counts: dict[tuple[str, int], int] = {}
        self._evaluated = int(run.row.started_at)
        rules = run.settings.rules
        self._error_rules = [rule for rule in rules.windows if rule.metric == ERROR_RATE]
        self._arrival_rules = [rule for rule in rules.windows if rule.metric == LATE_ARRIVALS]
        longest_s = max((rule.window_s for rule in self._arrival_rules), default=0)
        self._punctuality = Punctuality(run.row.started_at, longest_s)
        judges: list[Any] = [*rules.rules, *rules.windows]
        self._texts: dict[str, Any] = {rule.name: rule for rule in judges}
        if rules.drift is not None:
            self._texts[rules.drift.name] = rules.drift

    def step(self, connection: Connection, now: float, *, is_last: bool = False) -> None:
        """Evaluate the seconds that are complete by *now*; the last step looks at everything.

        *connection* is the recorder's writing one.
        """
        assert self._run.key is not None
        if self._process_key is None:
            self._process_key = run_writer.process_key(connection, self._process)
            if self._process_key is None:
                return  # its opening still waits in the spool
        until = int(now) + 1 if is_last else int(now) - LATE_S
        # From the beginning of a bucket: after a restart it is counted again as a whole.
        earliest = (until - LOOK_BACK_S) // PERIOD_S * PERIOD_S
        self._evaluate(connection, max(self._evaluated + 1, earliest), until)
        self._evaluate_arrivals(connection, now)
        self._store_windows(connection, self._process_key, until)
        since = int(self._run.row.started_at) - 10 if is_last else until - LOOK_BACK_S
        with connection.begin():
            rows = occurrences_since(connection, self._run.key, since)
        fresh: dict[str, list[OccurrenceCount]] = {}
        for row in rows:
            if row.count != row.counted:
                fresh.setdefault(row.fingerprint, []).append(row)
        for name, some in fresh.items():
            self._save(connection, name, some, self._run.key)

    def _evaluate(self, connection: Connection, first: int, last: int) -> None:
        """Evaluate the windows that end with each of the seconds from *first* to *last*."""
        windows = self._error_rules
        if not windows or first > last:
            return
        assert self._run.key is not None
        # All seconds with one look: on a distant database each look costs round trips.
        longest = max(rule.window_s for rule in windows)
        with connection.begin():
            by_second = second_counts(connection, self._run.key, first - longest, last)
        for until in range(first, last + 1):
            self._evaluate_second(by_second, until)
        self._evaluated = last

    def _evaluate_second(self, by_second: Mapping[int, Counts], until: int) -> None:
        for rule in self._error_rules:
            self._judge(rule, _summed(by_second, until - rule.window_s, until), until)

    def _evaluate_arrivals(self, connection: Connection, now: float) -> None:
        """Evaluate the windows that end now; a run without a schedule has none."""
        if not self._arrival_rules:
            return
        assert self._run.key is not None
        with connection.begin():
            totals = run_arrivals(connection, self._run.key)
        if totals is None:
            return
        self._punctuality.look(now, totals)
        for rule in self._arrival_rules:
            self._judge(rule, {GENERATOR: self._punctuality.window(rule.window_s)}, int(now))

    def _judge(self, rule: WindowRule, counts: Mapping[tuple[str, str], WindowCount], until: int) -> None:
        for finding in evaluate_windows((rule,), counts):
            name = fingerprint(rule.anomaly_type, finding.protocol, finding.endpoint, "", rule.name)
            key = OccurrenceKey(
                name, rule.name, rule.anomaly_type, finding.severity, finding.protocol, finding.endpoint, ""
            )
            exemplar = {"at": until, "value": finding.value, "limit": finding.limit}
            self._windows.add(key, float(until), partial(_sample, finding.message, exemplar))

    def _store_windows(self, connection: Connection, process_key: int, newest: int) -> None:
        rows = self._windows.take_changed()
        if not rows:
            return
        counts = self._window_counts
        with connection.begin():
            for row in rows:
                place = (row.fingerprint, row.start)
                counts[place] = counts.get(place, 0) + row.count
                values = {**row._asdict(), "count": counts[place], "exemplars": json.dumps(row.exemplars)}
                signature_writer.save_occurrence(connection, process_key, values)
        for place in [place for place in counts if place[1] < newest - KEEP_S]:
            del counts[place]

    def _save(
        self, connection: Connection, fingerprint: str, rows: list[OccurrenceCount], run_key: int
    ) -> None:
        known = self._known.setdefault(fingerprint, Known(rows[0]))
        for row in rows:
            known.widen(row)
        row = rows[0]
        rule = self._texts.get(row.rule)
        values = {
            "fingerprint": fingerprint, "anomaly_type": row.anomaly_type, "protocol": row.protocol,
            "endpoint": row.endpoint, "error_class": row.error_class, "rule": row.rule,
            "description": rule.description if rule else row.rule, "severity": known.severity,
            "status": "new",
            "first_seen": known.first_at, "last_seen": known.last_at,
            "first_run_id": run_key, "last_run_id": run_key,
        }  # fmt: skip
        fixes = [
            {
                "fix_type": fix.fix_type, "title": fix.title, "steps": list(fix.steps), "risk": fix.risk,
                "confidence": fix.confidence, "priority": fix.priority, "status": "suggested",
            }
            for fix in suggest(rule.fixes if rule else (), known.severity)
        ]  # fmt: skip
        signature_writer.save_signature(connection, values, rows, fixes)


def _summed(by_second: Mapping[int, Counts], since: int, until: int) -> dict[tuple[str, str], WindowCount]:
    totals: dict[tuple[str, str], tuple[int, int]] = {}
    for second in range(since, until):
        for name, (judged, errors) in by_second.get(second, {}).items():
            before = totals.get(name, (0, 0))
            totals[name] = (before[0] + judged, before[1] + errors)
    return {name: WindowCount(*pair) for name, pair in totals.items()}


def _sample(message: str, exemplar: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    return message, exemplar


def due(last: float, period_s: float) -> bool:
    """Whether *period_s* have passed since *last* (monotonic seconds)."""
    return time.monotonic() - last >= period_s
