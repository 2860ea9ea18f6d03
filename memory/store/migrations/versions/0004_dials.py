"""Dials: what an operator sets for a namespace."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

COUNTER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Add their table; none is turned yet."""
    op.create_table(
        "dial",
        *(sa.Column(name, sa.String(), primary_key=True) for name in ("namespace", "name")),
        sa.Column("value", sa.Text(), nullable=False),
        sa.Column("principal", sa.String(), nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
        sa.Column("seq", COUNTER, nullable=False),
    )
