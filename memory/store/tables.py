"""The tables, as the newest migration leaves them. Rows never leave `memory.store`."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, Integer, LargeBinary, MetaData, Text, UniqueConstraint
from sqlmodel import Field, SQLModel

COUNTER = BigInteger().with_variant(Integer(), "sqlite")
"""Row numbers and log positions; SQLite's integers are wide by themselves."""


class Base(SQLModel):
    """Shares one metadata object, our own: importing us adds nothing to SQLModel's."""

    metadata = MetaData()


class ItemRow(Base, table=True):
    """The newest version of an item; earlier ones are in the log."""

    __tablename__ = "item"
    __table_args__ = (
        UniqueConstraint("namespace", "id", name="uq_item_namespace_id"),
        Index("ix_item_dedupe", "namespace", "dedupe"),
        Index("ix_item_kind", "namespace", "kind", "status"),
        Index("ix_item_twin", "namespace", "twin"),
        Index("ix_item_page", "namespace", "key"),
    )

    key: int | None = Field(default=None, sa_column=Column(COUNTER, primary_key=True))
    """Row id of the full-text row too."""
    id: str
    namespace: str
    kind: str
    scope: str
    family: str | None
    text: str = Field(sa_column=Column(Text, nullable=False))
    digest: str
    """SHA-256 of the text: where its vectors are found."""
    dedupe: str
    """Equal for items that say the same, see `memory.writing.admission.dedupe_key`."""
    body: str = Field(sa_column=Column(Text, nullable=False))
    outcome: str | None
    status: str
    version: int
    channel: str
    trust: int
    author: str
    created_at: float
    updated_at: float
    valid_from: float
    valid_to: float | None
    superseded_by: str | None
    pinned: bool
    lineage: str = Field(sa_column=Column(Text, nullable=False))
    utility: str = Field(sa_column=Column(Text, nullable=False))
    seq: int = Field(sa_column=Column(COUNTER, nullable=False))
    """Log position of the last change."""
    audience: str | None = None
    twin: str | None = None
    """Equal for items that may be one if their vectors are near, see `memory.writing.admission.twin_key`."""


class VectorRow(Base, table=True):
    """A text's vector under one encoder generation; never overwritten, so that recalls can be replayed."""

    __tablename__ = "vector"

    namespace: str = Field(primary_key=True)
    encoder: str = Field(primary_key=True)
    purpose: str = Field(primary_key=True)
    """`item`, or `query` for the questions of recorded episodes."""
    digest: str = Field(primary_key=True)
    data: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    """Little-endian float32."""
    seq: int = Field(sa_column=Column(COUNTER, nullable=False))


class EpisodeRow(Base, table=True):
    """One episode whole, with the columns it is looked up by."""

    __tablename__ = "episode"
    __table_args__ = (
        UniqueConstraint("namespace", "id", name="uq_episode_namespace_id"),
        Index("ix_episode_task", "namespace", "task_id"),
        Index("ix_episode_family", "namespace", "family"),
        Index("ix_episode_tools", "namespace", "tools"),
    )

    key: int | None = Field(default=None, sa_column=Column(COUNTER, primary_key=True))
    id: str
    namespace: str
    task_id: str
    family: str
    outcome: str
    data: str = Field(sa_column=Column(Text, nullable=False))
    """Without its tools."""
    seq: int = Field(sa_column=Column(COUNTER, nullable=False))
    """Log position at which it was recorded; later feedback leaves it."""
    question: str | None = None
    """SHA-256 of what memory was asked first, by which the vector of the question is found."""
    tools: str | None = None
    """SHA-256 of the tools it was shown, by which they are found; None where it was shown none."""


class ToolsetRow(Base, table=True):
    """Tools as a model was told of them: one row for all the episodes of a namespace that were shown them."""

    __tablename__ = "toolset"

    namespace: str = Field(primary_key=True)
    digest: str = Field(primary_key=True)
    """SHA-256 of `data`."""
    data: str = Field(sa_column=Column(Text, nullable=False))
    """As canonical JSON."""


class LogRow(Base, table=True):
    """The outbox: append-only, in commit order, chained by hashes."""

    __tablename__ = "log"
    __table_args__ = (
        Index("ix_log_namespace", "namespace", "seq"),
        Index("ix_log_item", "namespace", "item", "seq"),
    )

    seq: int = Field(sa_column=Column(COUNTER, primary_key=True, autoincrement=False))
    at: float
    namespace: str
    principal: str
    op: str
    item: str | None
    version: int | None
    before: str = Field(sa_column=Column(Text, nullable=False))
    after: str = Field(sa_column=Column(Text, nullable=False))
    hash: str
    """Over the columns, `before` and `after` by their digests, and the hash of the row before."""
    before_digest: str = ""
    """SHA-256 of `before` as it was written: the chain holds when the text itself was erased."""
    after_digest: str = ""


class CreditRow(Base, table=True):
    """What one episode added to one item's utility, so that late feedback can take it back."""

    __tablename__ = "credit"
    __table_args__ = (Index("ix_credit_item", "namespace", "item", "test", "seq"),)

    namespace: str = Field(primary_key=True)
    episode: str = Field(primary_key=True)
    item: str = Field(primary_key=True)
    shown: bool
    place: int
    """Which update of the item's running value it was, from 1; 0 for a held-out item."""
    reward: float
    propensity: float = 1.0
    centre: float = 0.5
    seq: int = Field(default=0, sa_column=Column(COUNTER, nullable=False))
    test: int = 0


class IdempotencyRow(Base, table=True):
    """A request that was answered, so that a retry gets the same answer."""

    __tablename__ = "idempotency"

    namespace: str = Field(primary_key=True)
    key: str = Field(primary_key=True)
    request: str
    """SHA-256 of what was asked."""
    items: str = Field(sa_column=Column(Text, nullable=False))
    seq: int = Field(sa_column=Column(COUNTER, nullable=False))


class LinkRow(Base, table=True):
    """What an item was made from, so that a cascade can follow it: the lineage in the item, by parent."""

    __tablename__ = "link"
    __table_args__ = (Index("ix_link_item", "namespace", "item"), {"sqlite_with_rowid": False})

    namespace: str = Field(primary_key=True)
    kind: str = Field(primary_key=True)
    """`episode`, `item` or `source`."""
    parent: str = Field(primary_key=True)
    item: str = Field(primary_key=True)


class TallyRow(Base, table=True):
    """Counts of a namespace, kept by the transactions that change them."""

    __tablename__ = "tally"

    namespace: str = Field(primary_key=True)
    items: int
    living: int
    """Items that recall may find."""
    episodes: int


class DialRow(Base, table=True):
    """What an operator set for a namespace."""

    __tablename__ = "dial"

    namespace: str = Field(primary_key=True)
    name: str = Field(primary_key=True)
    value: str = Field(sa_column=Column(Text, nullable=False))
    """As JSON."""
    principal: str
    at: float
    seq: int = Field(sa_column=Column(COUNTER, nullable=False))


class StepRow(Base, table=True):
    """One act of an episode, and what it was worth in the end: what is asked for near a state."""

    __tablename__ = "step"
    __table_args__ = (Index("ix_step_family", "namespace", "family", "seq"),)

    namespace: str = Field(primary_key=True)
    episode: str = Field(primary_key=True)
    message: int = Field(primary_key=True)
    """Place of the act among the episode's messages."""
    family: str
    action: str = Field(sa_column=Column(Text, nullable=False))
    worth: float
    """Its return."""
    state: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    """Vector of the state it was done in, see `memory.value.states`; little-endian float32."""
    seq: int = Field(sa_column=Column(COUNTER, nullable=False))
    """Log position of the episode."""
