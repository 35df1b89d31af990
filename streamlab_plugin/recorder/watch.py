"""The owner's eye on a run: each second, window rules over all workers, signatures and their fixes.

Only the recorder beside the standalone or master process does this, so that a signature has one writer. It
reads what all recorders stored, two seconds late.
"""

from __future__ import annotations

import json
import time
from functools import partial
from typing import TYPE_CHECKING, Any

from streamlab_plugin.detect.window import WindowCount, evaluate_windows
from streamlab_plugin.knowledge.fix import suggest
from streamlab_plugin.knowledge.occurrence import OccurrenceKey, Occurrences
from streamlab_plugin.knowledge.signature import fingerprint, worst
from streamlab_plugin.store import run_writer
from streamlab_plugin.store.finding_queries import OccurrenceCount, occurrences_since
from streamlab_plugin.store.live_queries import window_counts

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from streamlab_plugin.recorder.run import Run

LATE_S = 2
LOOK_BACK_S = 60


class Known:
    """A signature as far as this run knows it."""

    __slots__ = ("base", "buckets", "first_at", "last_at", "row", "severity")

    def __init__(self, base: int | None, row: OccurrenceCount) -> None:
        self.base = base
        self.buckets: dict[tuple[int, int], int] = {}
        self.first_at = row.first_at
        self.last_at = row.last_at
        self.severity = row.severity
        self.row = row


class Watch:
    """Evaluate windows and keep signatures for one run.

    Args:
        connection: The recorder's writing connection.
        process_id: The owner's process; window findings are stored as its occurrences.
    """

    def __init__(self, run: Run, connection: Connection, process_id: int) -> None:
        self._run = run
        self._connection = connection
        self._process_id = process_id
        self._known: dict[str, Known] = {}
        self._windows = Occurrences()
        self._evaluated = int(run.row.started_at)
        rules = run.settings.rules
        judges: list[Any] = [*rules.rules, *rules.windows]
        self._texts: dict[str, Any] = {rule.name: rule for rule in judges}
        if rules.drift is not None:
            self._texts[rules.drift.name] = rules.drift

    def step(self, now: float, *, is_last: bool = False) -> None:
        """Evaluate the seconds that are complete by *now*; the last step looks at everything."""
        until = int(now) + 1 if is_last else int(now) - LATE_S
        for second in range(max(self._evaluated + 1, until - LOOK_BACK_S), until + 1):
            self._evaluate(second)
            self._evaluated = second
        since = int(self._run.row.started_at) - 10 if is_last else until - LOOK_BACK_S
        with self._connection.begin():
            rows = occurrences_since(self._connection, self._run.row.id, since)
        for name in self._take_in(rows):
            self._save(self._known[name], name)

    def _evaluate(self, until: int) -> None:
        for rule in self._run.settings.rules.windows:
            with self._connection.begin():
                found = window_counts(self._connection, self._run.row.id, until - rule.window_s, until)
            counts = {name: WindowCount(*pair) for name, pair in found.items()}
            for finding in evaluate_windows((rule,), counts):
                name = fingerprint(rule.anomaly_type, finding.protocol, finding.endpoint, "", rule.name)
                key = OccurrenceKey(
                    name,
                    rule.name,
                    rule.anomaly_type,
                    finding.severity,
                    finding.protocol,
                    finding.endpoint,
                    "",
                )
                exemplar = {"at": until, "value": finding.value, "limit": finding.limit}
                self._windows.add(key, float(until), partial(_sample, finding.message, exemplar))
        rows = self._windows.take_changed()
        if rows:
            with self._connection.begin():
                for row in rows:
                    values = {**row._asdict(), "exemplars": json.dumps(row.exemplars)}
                    run_writer.save_occurrence(self._connection, self._process_id, values)

    def _take_in(self, rows: list[OccurrenceCount]) -> set[str]:
        """Update what is known and return the fingerprints that changed."""
        changed = set()
        for row in rows:
            known = self._known.get(row.fingerprint)
            if known is None:
                base = run_writer.signature_base(self._connection, row.fingerprint, self._run.row.id)
                known = self._known[row.fingerprint] = Known(base, row)
            place = (row.process_id, row.start)
            if known.buckets.get(place) == row.count:
                continue
            known.buckets[place] = row.count
            known.first_at = min(known.first_at, row.first_at)
            known.last_at = max(known.last_at, row.last_at)
            known.severity = worst(known.severity, row.severity)
            changed.add(row.fingerprint)
        return changed

    def _save(self, known: Known, fingerprint: str) -> None:
        row, run_id = known.row, self._run.row.id
        rule = self._texts.get(row.rule)
        values = {
            "fingerprint": fingerprint, "anomaly_type": row.anomaly_type, "protocol": row.protocol,
            "endpoint": row.endpoint, "error_class": row.error_class, "rule": row.rule,
            "description": rule.description if rule else row.rule, "severity": known.severity,
            "status": "new",
            "first_seen": known.first_at, "last_seen": known.last_at,
            "count": (known.base or 0) + sum(known.buckets.values()),
            "first_run_id": run_id, "last_run_id": run_id,
        }  # fmt: skip
        fixes = [
            {
                "fix_type": fix.fix_type, "title": fix.title, "steps": list(fix.steps), "risk": fix.risk,
                "confidence": fix.confidence, "priority": fix.priority, "status": "suggested",
            }
            for fix in suggest(rule.fixes if rule else (), known.severity)
        ]  # fmt: skip
        run_writer.save_signature(self._connection, values, fixes)


def _sample(message: str, exemplar: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    return message, exemplar


def due(last: float, period_s: float) -> bool:
    """Whether *period_s* have passed since *last* (monotonic seconds)."""
    return time.monotonic() - last >= period_s
