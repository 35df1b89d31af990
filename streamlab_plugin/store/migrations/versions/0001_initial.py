"""The first schema: runs, lean records, rollups, findings, verdicts.

Revision ID: 0001
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


# On SQLite both are INTEGER, as they were from the start.
_Big = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_Small = sa.SmallInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Create everything."""
    is_postgresql = op.get_bind().dialect.name == "postgresql"
    op.create_table(
        "errors",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("error_type", sa.Text(), nullable=False),
        sa.Column("error_message", sa.Text(), nullable=False),
        sa.UniqueConstraint("error_type", "error_message"),
    )
    op.create_table(
        "gauges",
        sa.Column("process_id", sa.Integer(), nullable=False),
        sa.Column("start", sa.Integer(), nullable=False),
        sa.Column("users", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("process_id", "start"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "occurrences",
        sa.Column("process_id", sa.Integer(), nullable=False),
        sa.Column("fingerprint", sa.Text(), nullable=False),
        sa.Column("start", sa.Integer(), nullable=False),
        sa.Column("count", _Big, nullable=False),
        sa.Column("first_at", sa.Double(), nullable=False),
        sa.Column("last_at", sa.Double(), nullable=False),
        sa.Column("rule", sa.Text(), nullable=False),
        sa.Column("anomaly_type", sa.Text(), nullable=False),
        sa.Column("severity", sa.Text(), nullable=False),
        sa.Column("protocol", sa.Text(), nullable=False),
        sa.Column("endpoint", sa.Text(), nullable=False),
        sa.Column("error_class", sa.Text(), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("exemplars", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("process_id", "fingerprint", "start"),
        sqlite_with_rowid=False,
    )
    columns: list[sa.Column[Any]] = [
        sa.Column("run_day", sa.Integer(), nullable=False),
        sa.Column("process_id", sa.Integer(), nullable=False),
        sa.Column("seq", _Big, nullable=False),
        sa.Column("series_id", sa.Integer(), nullable=False),
        sa.Column("started_at", sa.Double(), nullable=False),
        sa.Column("scheduled_at", sa.Double()),
        sa.Column("latency_ms", sa.Double()),
        sa.Column("wait_ms", sa.Double()),
        sa.Column("size_bytes", _Big, nullable=False),
        sa.Column("shape_id", sa.Integer()),
        sa.Column("payload", sa.Text()),
        sa.Column("outcome", _Small, nullable=False),
        sa.Column("status", sa.Integer()),
        sa.Column("error_id", sa.Integer()),
        sa.Column("correlation_id", sa.Text()),
        sa.Column("stream", sa.Text()),
        sa.Column("stream_seq", _Big),
        sa.Column("fault", sa.Text()),
        sa.Column("findings", sa.Text()),
    ]
    op.create_table(
        "records",
        *(sorted(columns, key=_width, reverse=True) if is_postgresql else columns),
        sa.PrimaryKeyConstraint("run_day", "process_id", "seq"),
        sqlite_with_rowid=False,
        postgresql_partition_by="LIST (run_day)",
    )
    op.create_table(
        "rollups",
        sa.Column("process_id", sa.Integer(), nullable=False),
        sa.Column("period_s", sa.Integer(), nullable=False),
        sa.Column("start", sa.Integer(), nullable=False),
        sa.Column("series_id", sa.Integer(), nullable=False),
        sa.Column("count", _Big, nullable=False),
        sa.Column("errors", _Big, nullable=False),
        sa.Column("timeouts", _Big, nullable=False),
        sa.Column("interrupted", _Big, nullable=False),
        sa.Column("answered", _Big, nullable=False),
        sa.Column("latency_count", _Big, nullable=False),
        sa.Column("latency_sum", sa.Double(), nullable=False),
        sa.Column("latency_min", sa.Double()),
        sa.Column("latency_max", sa.Double()),
        sa.Column("size_sum", _Big, nullable=False),
        sa.Column("sketch", sa.LargeBinary()),
        sa.PrimaryKeyConstraint("process_id", "period_s", "start", "series_id"),
        sqlite_with_rowid=False,
        # A cumulative row is updated many times: room in its page keeps the update there.
        # With its sketch in the page as well (not in a TOAST table) the old version's space is used again.
        postgresql_with={"fillfactor": "50", "toast_tuple_target": "8160"},
    )
    op.create_table(
        "series",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("protocol", sa.Text(), nullable=False),
        sa.Column("operation", sa.Text(), nullable=False),
        sa.Column("endpoint", sa.Text(), nullable=False),
        sa.Column("direction", sa.Text(), nullable=False),
        sa.Column("user_class", sa.Text(), nullable=False),
        sa.UniqueConstraint("protocol", "operation", "endpoint", "direction", "user_class"),
    )
    op.create_table(
        "settings",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("hash", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.UniqueConstraint("hash"),
    )
    op.create_table(
        "shapes",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("schema_hash", sa.Text(), nullable=False),
        sa.Column("keys", sa.Text(), nullable=False),
        *([] if is_postgresql else [sa.UniqueConstraint("schema_hash", "keys")]),
    )
    if is_postgresql:
        # An index there takes 2.7 kB at most, and a payload may have more names than that.
        op.execute("CREATE UNIQUE INDEX uq_shapes ON shapes (schema_hash, md5(keys))")
    op.create_table(
        "runs",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("run", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("run_day", sa.Integer(), nullable=False),
        sa.Column("started_at", sa.Double(), nullable=False),
        sa.Column("stopped_at", sa.Double()),
        sa.Column("settings_id", sa.Integer(), sa.ForeignKey("settings.id"), nullable=False),
        sa.Column("key_id", sa.Text(), nullable=False),
        sa.Column("host", sa.Text(), nullable=False),
        sa.Column("locustfile", sa.Text(), nullable=False),
        sa.Column("expected_workers", sa.Integer(), nullable=False),
        sa.Column("versions", sa.Text(), nullable=False),
        sa.UniqueConstraint("run"),
    )
    op.create_table(
        "processes",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("process", sa.Text(), nullable=False),
        sa.Column("run_id", sa.Integer(), sa.ForeignKey("runs.id"), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("pid", sa.Integer(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("opened_at", sa.Double(), nullable=False),
        sa.Column("closed_at", sa.Double()),
        sa.Column("last_frame", _Big, nullable=False),
        sa.Column("produced", _Big, nullable=False),
        sa.Column("stored", _Big, nullable=False),
        sa.Column("quarantined", _Big, nullable=False),
        sa.Column("dropped", sa.Text(), nullable=False),
        sa.Column("privacy", sa.Text(), nullable=False),
        sa.Column("users", sa.Integer(), nullable=False),
        sa.UniqueConstraint("process"),
    )
    op.create_index("ix_processes_run_id", "processes", ["run_id"])
    op.create_table(
        "signatures",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("fingerprint", sa.Text(), nullable=False),
        sa.Column("anomaly_type", sa.Text(), nullable=False),
        sa.Column("protocol", sa.Text(), nullable=False),
        sa.Column("endpoint", sa.Text(), nullable=False),
        sa.Column("error_class", sa.Text(), nullable=False),
        sa.Column("rule", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("severity", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("first_seen", sa.Double(), nullable=False),
        sa.Column("last_seen", sa.Double(), nullable=False),
        sa.Column("count", _Big, nullable=False),
        sa.Column("first_run_id", sa.Integer(), sa.ForeignKey("runs.id"), nullable=False),
        sa.Column("last_run_id", sa.Integer(), sa.ForeignKey("runs.id"), nullable=False),
        sa.UniqueConstraint("fingerprint"),
    )
    op.create_table(
        "verdicts",
        sa.Column("run_id", sa.Integer(), sa.ForeignKey("runs.id"), primary_key=True),
        sa.Column("verdict", sa.Text(), nullable=False),
        sa.Column("exit_code", sa.Integer(), nullable=False),
        sa.Column("decided_at", sa.Double(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
    )
    op.create_table(
        "fixes",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("signature_id", sa.Integer(), sa.ForeignKey("signatures.id"), nullable=False),
        sa.Column("fix_type", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("steps", sa.Text(), nullable=False),
        sa.Column("risk", sa.Text(), nullable=False),
        sa.Column("confidence", sa.Double(), nullable=False),
        sa.Column("priority", sa.Double(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
    )
    op.create_index("ix_fixes_signature_id", "fixes", ["signature_id"])
    payload = _PAYLOAD[op.get_bind().dialect.name]
    op.execute(_RECORDS_FLAT.format(payload=payload))


def _width(column: sa.Column[Any]) -> int:
    """Return how wide a value is: on PostgreSQL wide before narrow leaves no gaps in a row."""
    kinds = {sa.Double: 8, sa.BigInteger: 8, sa.Integer: 4, sa.SmallInteger: 2}
    return kinds.get(type(column.type), 0)


# The payload as a JSON object again.
_PAYLOAD = {
    "sqlite": """
           SELECT json_group_object(k.value, json_extract(r.payload, '$[' || k.key || ']'))
           FROM json_each(shapes.keys) AS k
""",
    "postgresql": """
           SELECT CAST(json_object_agg(k.name,
                       CAST(r.payload AS json) -> CAST(k.place - 1 AS integer)) AS text)
           FROM json_array_elements_text(CAST(shapes.keys AS json)) WITH ORDINALITY AS k (name, place)
""",
}
# For people and BI tools: the record as docs/architecture.md describes it.
_RECORDS_FLAT = """
CREATE VIEW records_flat AS
SELECT runs.run, processes.process, r.seq,
       series.protocol, series.operation, series.endpoint, series.direction, series.user_class,
       r.started_at, r.scheduled_at, r.latency_ms, r.wait_ms, r.size_bytes,
       CASE WHEN r.payload IS NULL THEN NULL ELSE ({payload}       ) END AS payload,
       shapes.schema_hash,
       CASE r.outcome WHEN 0 THEN 'success' WHEN 1 THEN 'error' WHEN 2 THEN 'timeout' ELSE 'interrupted' END
           AS outcome,
       r.status, errors.error_type, errors.error_message,
       r.correlation_id, r.stream, r.stream_seq, r.fault, r.findings
FROM records AS r
JOIN processes ON processes.id = r.process_id
JOIN runs ON runs.id = processes.run_id
JOIN series ON series.id = r.series_id
LEFT JOIN shapes ON shapes.id = r.shape_id
LEFT JOIN errors ON errors.id = r.error_id
"""
