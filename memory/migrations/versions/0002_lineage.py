"""Lineage by parent, counts by namespace, twins, audiences, and a log whose chain outlives erasure."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add what is new."""
    op.add_column("item", sa.Column("audience", sa.String()))
    op.add_column("item", sa.Column("twin", sa.String()))
    op.create_index("ix_item_twin", "item", ["namespace", "twin"])
    for name in ("before_digest", "after_digest"):
        op.add_column("log", sa.Column(name, sa.String(), nullable=False, server_default=""))
    op.create_table(
        "link",
        *(sa.Column(name, sa.String(), primary_key=True) for name in ("namespace", "kind", "parent", "item")),
    )
    op.create_index("ix_link_item", "link", ["namespace", "item"])
    op.create_table(
        "tally",
        sa.Column("namespace", sa.String(), primary_key=True),
        *(sa.Column(name, sa.Integer(), nullable=False) for name in ("items", "living", "episodes")),
    )
