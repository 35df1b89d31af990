"""The read side of the store in one place; the modules behind it are split by what they read."""

from __future__ import annotations

from streamlab_plugin.store.live_queries import Live, live_overview, window_counts
from streamlab_plugin.store.reading import read
from streamlab_plugin.store.rollup_queries import (
    WITHOUT_LATENCY,
    SeriesKey,
    Totals,
    run_endpoints,
    run_protocol_totals,
    run_totals,
)
from streamlab_plugin.store.run_queries import (
    LATEST,
    RUNNING,
    Run,
    Verdict,
    find_run,
    list_runs,
    run_ledger,
    run_ledgers,
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
from streamlab_plugin.store.timeline_queries import Timeline, peak_users, run_timeline

__all__ = [
    "LATEST",
    "RUNNING",
    "WITHOUT_LATENCY",
    "Exemplar",
    "Fix",
    "Live",
    "Run",
    "SeriesKey",
    "Sighting",
    "Signature",
    "SignatureFilter",
    "Timeline",
    "Totals",
    "Verdict",
    "anomaly_types",
    "exemplars_of",
    "find_run",
    "find_signature",
    "fixes_of",
    "list_runs",
    "list_signatures",
    "live_overview",
    "occurrence_timeline",
    "peak_users",
    "read",
    "run_endpoints",
    "run_ledger",
    "run_ledgers",
    "run_protocol_totals",
    "run_timeline",
    "run_totals",
    "run_verdict",
    "runs_by_key",
    "sightings",
    "stored_frames",
    "window_counts",
]
