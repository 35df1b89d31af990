"""Response times beside service times, and what became of a schedule's arrivals.

Revision ID: 0003
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add two columns; no row is written."""
    op.add_column("rollups", sa.Column("response_sketch", sa.LargeBinary()))
    op.add_column("processes", sa.Column("arrivals", sa.Text(), nullable=False, server_default="{}"))
