"""The tables as the code sees them; what is in a database is decided by the migrations.

Rows of ``records`` are lean: integer keys into ``processes``, ``series``, ``errors`` and ``shapes``. Public
ids are uuid4 text; integer keys are local to one database. Times are epoch seconds (UTC).
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    text,
)

metadata = MetaData()

# SQLite has one integer of up to 64 bits and knows INTEGER PRIMARY KEY by that very name.
Big = BigInteger().with_variant(Integer(), "sqlite")
Small = SmallInteger().with_variant(Integer(), "sqlite")

# A few seconds of each minute, which say as much of a long run. A planner finds the index by these letters.
SAMPLED = text("start % 60 < 3")

settings = Table(
    "settings",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("hash", Text, nullable=False, unique=True),
    Column("body", Text, nullable=False),  # JSON: the effective policy, rules and objectives, no secrets
)

runs = Table(
    "runs",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("run", Text, nullable=False, unique=True),  # public id, uuid4
    Column("name", Text, nullable=False),
    Column("state", Text, nullable=False),  # running, completed, degraded, aborted, failed
    Column("run_day", Integer, nullable=False),  # UTC day the run began, days since 1970-01-01
    Column("started_at", Double, nullable=False),  # test_start
    Column("stopped_at", Double),  # test_stop
    Column("settings_id", Integer, ForeignKey("settings.id"), nullable=False),
    Column("key_id", Text, nullable=False),  # which pseudonym key the run used
    Column("host", Text, nullable=False),  # the target, without credentials and query
    Column("locustfile", Text, nullable=False),
    Column("expected_workers", Integer, nullable=False),
    Column("versions", Text, nullable=False),  # JSON: streamlab, locust, python
    Column("tags", Text, nullable=False, server_default="{}"),  # JSON: name -> value
    # JSON array of {kind, process, since, until, users}: windows in which a part of the load was missing
    Column("degradations", Text, nullable=False, server_default="[]"),
    Column("stop_requested_at", Double),  # somebody asked for the test's end
    Column("deliveries", Text),  # JSON: what became of the messages; null until the end, or without any
    Index("ix_runs_started_at", "started_at"),
)

processes = Table(
    "processes",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("process", Text, nullable=False, unique=True),  # public id, uuid4
    Column("run_id", Integer, ForeignKey("runs.id"), nullable=False, index=True),
    Column("role", Text, nullable=False),  # standalone, master, worker
    Column("pid", Integer, nullable=False),
    Column("state", Text, nullable=False),  # open, closed, lost
    Column("opened_at", Double, nullable=False),
    Column("closed_at", Double),
    Column("last_frame", Big, nullable=False),
    Column("produced", Big, nullable=False),
    Column("stored", Big, nullable=False),
    Column("quarantined", Big, nullable=False),
    Column("dropped", Text, nullable=False),  # JSON: reason -> count
    Column("privacy", Text, nullable=False),  # JSON: counter -> count, see privacy.tally
    Column("users", Integer, nullable=False),  # simulated users at the last frame
    Column("seen_at", Double),  # when the last frame was made, by the Locust process's clock
    Column("evicted", Big, nullable=False, server_default="0"),  # raw records dropped after roll-up
    Column("arrivals", Text, nullable=False, server_default="{}"),  # JSON: due, started, late, dropped
    # JSON: how far the master's clock is ahead of this worker's, and the uncertainty of that (milliseconds)
    Column("clock", Text),
    Column("erased", Big, nullable=False, server_default="0"),  # how many of stored were erased since
)

quarantine = Table(
    "quarantine",
    metadata,
    Column("process_id", Integer, nullable=False),
    Column("seq", Big, nullable=False),
    Column("reason", Text, nullable=False),  # why the database refused the row; no value of it
    Column("noted_at", Double, nullable=False),
    PrimaryKeyConstraint("process_id", "seq"),
)

series = Table(
    "series",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("protocol", Text, nullable=False),
    Column("operation", Text, nullable=False),
    Column("endpoint", Text, nullable=False),
    Column("direction", Text, nullable=False),
    Column("user_class", Text, nullable=False),
    UniqueConstraint("protocol", "operation", "endpoint", "direction", "user_class"),
)

shapes = Table(
    "shapes",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("schema_hash", Text, nullable=False),  # of keys and types before redaction
    Column("keys", Text, nullable=False),  # JSON array: the payload keys that were kept
    UniqueConstraint("schema_hash", "keys"),
)

errors = Table(
    "errors",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("error_type", Text, nullable=False),
    Column("error_message", Text, nullable=False),
    UniqueConstraint("error_type", "error_message"),
)

records = Table(
    "records",
    metadata,
    Column("run_day", Integer, nullable=False),
    Column("process_id", Integer, nullable=False),
    Column("seq", Big, nullable=False),
    Column("series_id", Integer, nullable=False),
    Column("started_at", Double, nullable=False),
    Column("scheduled_at", Double),
    Column("latency_ms", Double),
    Column("wait_ms", Double),
    Column("size_bytes", Big, nullable=False),
    Column("shape_id", Integer),
    Column("payload", Text),  # JSON array: the values of the shape's keys
    Column("outcome", Small, nullable=False),  # index into core.record.OUTCOMES
    Column("status", Integer),
    Column("error_id", Integer),
    Column("correlation_id", Text),
    Column("stream", Text),
    Column("stream_seq", Big),
    Column("fault", Text),
    Column("findings", Text),  # rule names, comma separated
    PrimaryKeyConstraint("run_day", "process_id", "seq"),
    sqlite_with_rowid=False,
    postgresql_partition_by="LIST (run_day)",  # one partition a day, see store/partition.py
)

rollups = Table(
    "rollups",
    metadata,
    Column("process_id", Integer, nullable=False),
    Column("period_s", Integer, nullable=False),  # 1, 60 or 3600
    Column("start", Integer, nullable=False),  # epoch second, multiple of period_s
    Column("series_id", Integer, nullable=False),
    Column("count", Big, nullable=False),  # all outcomes, also interrupted
    Column("errors", Big, nullable=False),  # outcome error or timeout
    Column("timeouts", Big, nullable=False),
    Column("interrupted", Big, nullable=False),
    Column("answered", Big, nullable=False),
    Column("latency_count", Big, nullable=False),
    Column("latency_sum", Double, nullable=False),
    Column("latency_min", Double),
    Column("latency_max", Double),
    Column("size_sum", Big, nullable=False),
    Column("sketch", LargeBinary),  # req_floats_sketch of latency_ms, see detect/sketch.py
    Column("response_sketch", LargeBinary),  # of latency_ms + wait_ms; null where nothing was scheduled
    PrimaryKeyConstraint("process_id", "period_s", "start", "series_id"),
    sqlite_with_rowid=False,
)

gauges = Table(
    "gauges",
    metadata,
    Column("process_id", Integer, nullable=False),
    Column("start", Integer, nullable=False),  # epoch second
    Column("users", Integer, nullable=False),
    PrimaryKeyConstraint("process_id", "start"),
    Index(
        "ix_gauges_sampled", "process_id", "start", "users", sqlite_where=SAMPLED, postgresql_where=SAMPLED
    ),
    sqlite_with_rowid=False,
)

tracks = Table(
    "tracks",
    metadata,
    Column("process_id", Integer, nullable=False),
    Column("role", Text, nullable=False),  # sent (acknowledged), failed, got
    Column("stream", Text, nullable=False),  # pseudonym; empty: beyond the limit, only counted
    Column("subscriber", Text, nullable=False),  # pseudonym; empty for what was sent
    Column("series_id", Integer, nullable=False),  # of the first message, for its endpoint
    Column("count", Big, nullable=False),
    Column("duplicates", Big, nullable=False),
    Column("reordered", Big, nullable=False),
    Column("forgotten", Big, nullable=False),  # missing in gaps that are no longer in spans
    Column("spans", Text, nullable=False),  # JSON array of [first, last]: the numbers that came
    PrimaryKeyConstraint("process_id", "role", "stream", "subscriber"),
    sqlite_with_rowid=False,
)

occurrences = Table(
    "occurrences",
    metadata,
    Column("process_id", Integer, nullable=False),
    Column("fingerprint", Text, nullable=False),
    Column("start", Integer, nullable=False),  # epoch second, multiple of 10
    Column("count", Big, nullable=False),
    Column("first_at", Double, nullable=False),
    Column("last_at", Double, nullable=False),
    Column("rule", Text, nullable=False),
    Column("anomaly_type", Text, nullable=False),
    Column("severity", Text, nullable=False),
    Column("protocol", Text, nullable=False),
    Column("endpoint", Text, nullable=False),
    Column("error_class", Text, nullable=False),
    Column("message", Text, nullable=False),  # what was seen, e.g. the measured value against the limit
    Column("exemplars", Text, nullable=False),  # JSON array of at most 3 {seq, at, latency_ms, status, ...}
    Column("counted", Big, nullable=False, server_default="0"),  # how much of count its signature has
    PrimaryKeyConstraint("process_id", "fingerprint", "start"),
    Index("ix_occurrences_fingerprint", "fingerprint"),
    Index("ix_occurrences_seen", "process_id", "fingerprint", "count", "first_at", "last_at"),
    sqlite_with_rowid=False,
)

signatures = Table(
    "signatures",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("fingerprint", Text, nullable=False, unique=True),
    Column("anomaly_type", Text, nullable=False),
    Column("protocol", Text, nullable=False),
    Column("endpoint", Text, nullable=False),
    Column("error_class", Text, nullable=False),
    Column("rule", Text, nullable=False),
    Column("description", Text, nullable=False),
    Column("severity", Text, nullable=False),  # the highest seen
    Column("status", Text, nullable=False),  # new
    Column("first_seen", Double, nullable=False),
    Column("last_seen", Double, nullable=False),
    Column("count", Big, nullable=False),  # over all runs
    Column("first_run_id", Integer, ForeignKey("runs.id"), nullable=False),
    Column("last_run_id", Integer, ForeignKey("runs.id"), nullable=False),
)

fixes = Table(
    "fixes",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("signature_id", Integer, ForeignKey("signatures.id"), nullable=False, index=True),
    Column("fix_type", Text, nullable=False),
    Column("title", Text, nullable=False),
    Column("steps", Text, nullable=False),  # JSON array of text
    Column("risk", Text, nullable=False),  # low, medium, high
    Column("confidence", Double, nullable=False),  # 0..1
    Column("priority", Double, nullable=False),  # severity weight x confidence
    Column("status", Text, nullable=False),  # suggested
)

verdicts = Table(
    "verdicts",
    metadata,
    Column("run_id", Integer, ForeignKey("runs.id"), primary_key=True),
    Column("verdict", Text, nullable=False),  # met, breached, inconclusive, unreachable
    Column("exit_code", Integer, nullable=False),
    Column("decided_at", Double, nullable=False),
    Column("body", Text, nullable=False),  # JSON: reasons, objectives, ledger
)

retention = Table(
    "retention",
    metadata,
    Column("kind", Text, primary_key=True),  # see store/retention.py
    Column("days", Integer),  # null: the default
    Column("archive", Integer),  # 0 or 1: whether rows are archived before they go; null: the default
    Column("last_run_at", Double),
)

archives = Table(
    "archives",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("kind", Text, nullable=False),  # as in retention
    Column("unit", Text, nullable=False),  # what was archived together, e.g. one process's records
    Column("path", Text, nullable=False),
    Column("sha256", Text, nullable=False),
    Column("rows", Big, nullable=False),
    Column("size_bytes", Big, nullable=False),
    Column("state", Text, nullable=False),  # written (its rows may still be there), done
    Column("made_at", Double, nullable=False),
    Column("expires_at", Double, nullable=False),
    UniqueConstraint("kind", "unit"),
)

audit = Table(
    "audit",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("at", Double, nullable=False),
    Column("actor", Text, nullable=False),  # the operating system's user name
    Column("action", Text, nullable=False),  # e.g. retention.set
    Column("subject", Text, nullable=False),
    Column("body", Text, nullable=False),  # JSON
)

erasures = Table(
    "erasures",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("requested_at", Double, nullable=False),
    Column("finished_at", Double),
    Column("actor", Text, nullable=False),  # the operating system's user name
    Column("state", Text, nullable=False),  # see store/erasure.py
    Column("digests", Text, nullable=False),  # JSON array: sha256 of each pseudonym
    Column("pseudonyms", Text),  # JSON array, in hex; null once they are not needed any more
    Column("counts", Text, nullable=False, server_default="{}"),  # JSON: place -> rows
    Column("pending", Text),  # JSON: the change of a file that may or may not have been made
    Column("skipped", Text, nullable=False, server_default="[]"),  # JSON array: what could not be searched
)
