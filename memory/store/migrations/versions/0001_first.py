"""Items with full text, vectors, episodes, the log, credits, idempotency keys."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

# Row numbers and log positions; SQLite's integers are wide by themselves.
COUNTER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Create everything."""
    _items()
    _history()
    _words()


def _words() -> None:
    if op.get_bind().dialect.name == "sqlite":
        op.execute("CREATE VIRTUAL TABLE item_fts USING fts5(space, words, tokenize = 'ascii')")
        return
    op.execute(
        "CREATE TABLE item_fts "
        "(key bigint PRIMARY KEY REFERENCES item ON DELETE CASCADE, words tsvector NOT NULL)"
    )
    op.execute("CREATE INDEX ix_item_fts ON item_fts USING gin (words)")


def _items() -> None:
    op.create_table(
        "item",
        sa.Column("key", COUNTER, primary_key=True),
        *(sa.Column(name, sa.String(), nullable=False) for name in ("id", "namespace", "kind", "scope")),
        sa.Column("family", sa.String()),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("dedupe", sa.String(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("outcome", sa.String()),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("channel", sa.String(), nullable=False),
        sa.Column("trust", sa.Integer(), nullable=False),
        sa.Column("author", sa.String(), nullable=False),
        *(sa.Column(name, sa.Float(), nullable=False) for name in ("created_at", "updated_at", "valid_from")),
        sa.Column("valid_to", sa.Float()),
        sa.Column("superseded_by", sa.String()),
        sa.Column("pinned", sa.Boolean(), nullable=False),
        sa.Column("lineage", sa.Text(), nullable=False),
        sa.Column("utility", sa.Text(), nullable=False),
        sa.Column("seq", COUNTER, nullable=False),
        sa.UniqueConstraint("namespace", "id", name="uq_item_namespace_id"),
    )
    op.create_index("ix_item_dedupe", "item", ["namespace", "dedupe"])
    op.create_index("ix_item_kind", "item", ["namespace", "kind", "status"])
    op.create_table(
        "vector",
        *(sa.Column(name, sa.String(), primary_key=True) for name in ("namespace", "encoder", "purpose")),
        sa.Column("digest", sa.String(), primary_key=True),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.Column("seq", COUNTER, nullable=False),
    )


def _history() -> None:
    op.create_table(
        "episode",
        sa.Column("key", COUNTER, primary_key=True),
        *(
            sa.Column(name, sa.String(), nullable=False)
            for name in ("id", "namespace", "task_id", "family", "outcome")
        ),
        sa.Column("data", sa.Text(), nullable=False),
        sa.Column("seq", COUNTER, nullable=False),
        sa.UniqueConstraint("namespace", "id", name="uq_episode_namespace_id"),
    )
    op.create_index("ix_episode_task", "episode", ["namespace", "task_id"])
    op.create_index("ix_episode_family", "episode", ["namespace", "family"])
    op.create_table(
        "log",
        sa.Column("seq", COUNTER, primary_key=True, autoincrement=False),
        sa.Column("at", sa.Float(), nullable=False),
        *(sa.Column(name, sa.String(), nullable=False) for name in ("namespace", "principal", "op")),
        sa.Column("item", sa.String()),
        sa.Column("version", sa.Integer()),
        sa.Column("before", sa.Text(), nullable=False),
        sa.Column("after", sa.Text(), nullable=False),
        sa.Column("hash", sa.String(), nullable=False),
    )
    op.create_index("ix_log_namespace", "log", ["namespace", "seq"])
    op.create_index("ix_log_item", "log", ["namespace", "item", "seq"])
    op.create_table(
        "credit",
        *(sa.Column(name, sa.String(), primary_key=True) for name in ("namespace", "episode", "item")),
        sa.Column("shown", sa.Boolean(), nullable=False),
        sa.Column("place", sa.Integer(), nullable=False),
        sa.Column("reward", sa.Float(), nullable=False),
    )
    op.create_table(
        "idempotency",
        *(sa.Column(name, sa.String(), primary_key=True) for name in ("namespace", "key")),
        sa.Column("request", sa.String(), nullable=False),
        sa.Column("items", sa.Text(), nullable=False),
        sa.Column("seq", COUNTER, nullable=False),
    )
