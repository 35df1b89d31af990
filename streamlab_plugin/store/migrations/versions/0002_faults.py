"""What surviving faults needs: quarantine, evicted rows, tags, degradations, retention, archives, audit.

Revision ID: 0002
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_Big = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Add columns with defaults, and tables; only occurrences, of which there are few, are written."""
    op.add_column("runs", sa.Column("tags", sa.Text(), nullable=False, server_default="{}"))
    op.add_column("runs", sa.Column("degradations", sa.Text(), nullable=False, server_default="[]"))
    op.add_column("runs", sa.Column("stop_requested_at", sa.Double()))
    op.create_index("ix_runs_started_at", "runs", ["started_at"])
    op.add_column("processes", sa.Column("seen_at", sa.Double()))
    op.add_column("processes", sa.Column("evicted", _Big, nullable=False, server_default="0"))
    op.add_column("occurrences", sa.Column("counted", _Big, nullable=False, server_default="0"))
    # What is there was counted by the version that wrote it.
    op.execute("UPDATE occurrences SET counted = count")
    op.create_index("ix_occurrences_fingerprint", "occurrences", ["fingerprint"])
    op.create_table(
        "quarantine",
        sa.Column("process_id", sa.Integer(), nullable=False),
        sa.Column("seq", _Big, nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("noted_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("process_id", "seq"),
    )
    op.create_table(
        "retention",
        sa.Column("kind", sa.Text(), primary_key=True),
        sa.Column("days", sa.Integer()),
        sa.Column("archive", sa.Integer()),
        sa.Column("last_run_at", sa.Double()),
    )
    op.create_table(
        "archives",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("unit", sa.Text(), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("rows", _Big, nullable=False),
        sa.Column("size_bytes", _Big, nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("made_at", sa.Double(), nullable=False),
        sa.Column("expires_at", sa.Double(), nullable=False),
        sa.UniqueConstraint("kind", "unit"),
    )
    op.create_table(
        "audit",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("at", sa.Double(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
    )
