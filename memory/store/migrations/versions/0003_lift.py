"""What a coin decided about an item in an episode, kept with what the episode gave to it."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add what is new; what was credited before counts as shown for certain, which no lift is made of."""
    whole = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    for name, type_, default in (
        ("propensity", sa.Float(), "1"),
        ("centre", sa.Float(), "0.5"),
        ("seq", whole, "0"),
        ("test", sa.Integer(), "0"),
    ):
        op.add_column("credit", sa.Column(name, type_, nullable=False, server_default=default))
    op.execute(
        "UPDATE credit SET seq = coalesce((SELECT episode.seq FROM episode WHERE "
        "episode.namespace = credit.namespace AND episode.id = credit.episode), 0)"
    )
    op.create_index("ix_credit_item", "credit", ["namespace", "item", "test", "seq"])
