"""Which numbers of a stream were sent and got, what became of a run's messages, and workers' clocks.

Revision ID: 0005
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_Big = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Add a table and two columns; no row is written."""
    op.create_table(
        "tracks",
        sa.Column("process_id", sa.Integer(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("stream", sa.Text(), nullable=False),
        sa.Column("subscriber", sa.Text(), nullable=False),
        sa.Column("series_id", sa.Integer(), nullable=False),
        sa.Column("count", _Big, nullable=False),
        sa.Column("duplicates", _Big, nullable=False),
        sa.Column("reordered", _Big, nullable=False),
        sa.Column("forgotten", _Big, nullable=False),
        sa.Column("spans", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("process_id", "role", "stream", "subscriber"),
        sqlite_with_rowid=False,
    )
    op.add_column("runs", sa.Column("deliveries", sa.Text()))
    op.add_column("processes", sa.Column("clock", sa.Text()))
