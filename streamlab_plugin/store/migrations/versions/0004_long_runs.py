"""Indexes that keep the pages of long runs fast.

Revision ID: 0004
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make two indexes from which counts of anomalies and users are read without their rows."""
    op.create_index(
        "ix_occurrences_seen", "occurrences", ["process_id", "fingerprint", "count", "first_at", "last_at"]
    )
    some = sa.text("start % 60 < 3")
    op.create_index(
        "ix_gauges_sampled",
        "gauges",
        ["process_id", "start", "users"],
        sqlite_where=some,
        postgresql_where=some,
    )
