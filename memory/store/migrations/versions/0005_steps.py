"""Steps with what they were worth, and by which question an episode asked memory."""

import json
from hashlib import sha256

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

COUNTER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Add them; old episodes are given their questions, their steps are kept when they are next spoken of."""
    op.create_table(
        "step",
        *(sa.Column(name, sa.String(), primary_key=True) for name in ("namespace", "episode")),
        sa.Column("message", sa.Integer(), primary_key=True),
        sa.Column("family", sa.String(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("worth", sa.Float(), nullable=False),
        sa.Column("state", sa.LargeBinary(), nullable=False),
        sa.Column("seq", COUNTER, nullable=False),
    )
    op.create_index("ix_step_family", "step", ["namespace", "family", "seq"])
    op.add_column("episode", sa.Column("question", sa.String(), nullable=True))
    connection = op.get_bind()
    for key, data in connection.execute(sa.text("SELECT key, data FROM episode")).all():
        recall = json.loads(data).get("recall")
        if recall is not None:
            digest = sha256(recall["query"]["text"].encode()).hexdigest()
            connection.execute(
                sa.text("UPDATE episode SET question = :digest WHERE key = :key"),
                {"digest": digest, "key": key},
            )
