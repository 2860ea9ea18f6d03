"""The tools that episodes were shown, each set once in a namespace."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Add them; of old episodes nobody knows what they were shown."""
    op.create_table(
        "toolset",
        *(sa.Column(name, sa.String(), primary_key=True) for name in ("namespace", "digest")),
        sa.Column("data", sa.Text(), nullable=False),
    )
    op.add_column("episode", sa.Column("tools", sa.String(), nullable=True))
    op.create_index("ix_episode_tools", "episode", ["namespace", "tools"])
