"""The read side of the store in one place; the modules behind it are split by what they read."""

from __future__ import annotations

from streamlab_plugin.store.delivery_queries import run_deliveries
from streamlab_plugin.store.live_queries import Live, live_overview, second_counts
from streamlab_plugin.store.privacy_queries import run_privacy, runs_by_epoch
from streamlab_plugin.store.range_queries import RangeSummary, range_summary
from streamlab_plugin.store.reading import read
from streamlab_plugin.store.record_queries import (
    ErrorCount,
    RecordFilter,
    added,
    find_records,
    frequent_errors,
    newest,
    reached,
)
from streamlab_plugin.store.record_rows import Record
from streamlab_plugin.store.rollup_queries import (
    SeriesKey,
    Summary,
    Totals,
    run_summary,
)
from streamlab_plugin.store.run_queries import (
    LATEST,
    RUNNING,
    Process,
    Run,
    Verdict,
    find_run,
    list_runs,
    quarantine_reasons,
    run_arrivals,
    run_ledger,
    run_ledgers,
    run_processes,
    run_verdict,
    runs_by_key,
    stored_frames,
)
from streamlab_plugin.store.signature_queries import (
    Exemplar,
    Fix,
    Sighting,
    Signature,
    SignatureFilter,
    anomaly_types,
    exemplars_of,
    find_signature,
    fixes_of,
    list_signatures,
    occurrence_timeline,
    sightings,
)
from streamlab_plugin.store.timeline_queries import Timeline, peak_users, run_timeline, users_at

__all__ = [
    "LATEST",
    "RUNNING",
    "ErrorCount",
    "Exemplar",
    "Fix",
    "Live",
    "Process",
    "RangeSummary",
    "Record",
    "RecordFilter",
    "Run",
    "SeriesKey",
    "Sighting",
    "Signature",
    "SignatureFilter",
    "Summary",
    "Timeline",
    "Totals",
    "Verdict",
    "added",
    "anomaly_types",
    "exemplars_of",
    "find_records",
    "find_run",
    "find_signature",
    "fixes_of",
    "frequent_errors",
    "list_runs",
    "list_signatures",
    "live_overview",
    "newest",
    "occurrence_timeline",
    "peak_users",
    "quarantine_reasons",
    "range_summary",
    "reached",
    "read",
    "run_arrivals",
    "run_deliveries",
    "run_ledger",
    "run_ledgers",
    "run_privacy",
    "run_processes",
    "run_summary",
    "run_timeline",
    "run_verdict",
    "runs_by_epoch",
    "runs_by_key",
    "second_counts",
    "sightings",
    "stored_frames",
    "users_at",
]
