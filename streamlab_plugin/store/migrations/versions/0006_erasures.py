"""Whose data was erased, by what and when, and how many records of each process went that way.

Revision ID: 0006
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_Big = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Add a column with a default and a table; no row is written."""
    op.add_column("processes", sa.Column("erased", _Big, nullable=False, server_default="0"))
    op.create_table(
        "erasures",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("requested_at", sa.Double(), nullable=False),
        sa.Column("finished_at", sa.Double()),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("digests", sa.Text(), nullable=False),
        sa.Column("pseudonyms", sa.Text()),
        sa.Column("counts", sa.Text(), nullable=False, server_default="{}"),
        sa.Column("pending", sa.Text()),
        sa.Column("skipped", sa.Text(), nullable=False, server_default="[]"),
    )
