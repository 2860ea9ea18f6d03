"""Statements that every recall or write runs: building one costs more than running it."""

from __future__ import annotations

from sqlalchemy import bindparam, func, select

from memory.entry import RECALLABLE
from memory.store.rows import ITEM, LOG, VECTOR

ONE_ITEM = select(ITEM).where(ITEM.c.namespace == bindparam("namespace"), ITEM.c.id == bindparam("id"))
SOME_ITEMS = select(ITEM).where(
    ITEM.c.namespace == bindparam("namespace"), ITEM.c.id.in_(bindparam("ids", expanding=True))
)
SAME = (
    select(ITEM)
    .where(ITEM.c.namespace == bindparam("namespace"), ITEM.c.dedupe == bindparam("dedupe"))
    .where(ITEM.c.status != "retired", ITEM.c.valid_to.is_(None) | (ITEM.c.valid_to > bindparam("at")))
    .order_by(ITEM.c.key)
    .limit(1)
)
CHANGED = (
    select(LOG.c.item, LOG.c.op)
    .where(LOG.c.namespace == bindparam("namespace"), LOG.c.seq > bindparam("after"))
    .where(LOG.c.op.not_in(("reinforce", "episode", "feedback")))
)
CHANGES = (
    select(LOG.c.seq, LOG.c.item, LOG.c.op)
    .where(LOG.c.namespace == bindparam("namespace"), LOG.c.seq > bindparam("after"))
    .where(LOG.c.op.not_in(("reinforce", "episode", "feedback")))
    .order_by(LOG.c.seq)
    .limit(bindparam("limit"))
)
ENTRIES = (
    select(
        ITEM.c.key,
        ITEM.c.id,
        ITEM.c.kind,
        ITEM.c.text,
        ITEM.c.scope,
        ITEM.c.family,
        ITEM.c.audience,
        ITEM.c.digest,
        VECTOR.c.data,
    )
    .select_from(
        ITEM.outerjoin(
            VECTOR,
            (VECTOR.c.namespace == ITEM.c.namespace)
            & (VECTOR.c.encoder == bindparam("encoder"))
            & (VECTOR.c.purpose == "item")
            & (VECTOR.c.digest == ITEM.c.digest),
        )
    )
    .where(ITEM.c.namespace == bindparam("namespace"), ITEM.c.key > bindparam("after"))
    .where(ITEM.c.status.in_(sorted(RECALLABLE)))
    .order_by(ITEM.c.key)
    .limit(bindparam("limit"))
)
OUTLINES = select(
    ITEM.c.id, ITEM.c.kind, ITEM.c.text, ITEM.c.scope, ITEM.c.family, ITEM.c.audience, ITEM.c.digest
).where(ITEM.c.namespace == bindparam("namespace"), ITEM.c.status.in_(sorted(RECALLABLE)))
SOME_OUTLINES = OUTLINES.where(ITEM.c.id.in_(bindparam("ids", expanding=True)))
VECTORS = (
    select(VECTOR.c.digest, VECTOR.c.data)
    .where(VECTOR.c.namespace == bindparam("namespace"), VECTOR.c.encoder == bindparam("encoder"))
    .where(VECTOR.c.purpose == "item", VECTOR.c.seq <= bindparam("until"))
)
SOME_VECTORS = VECTORS.where(VECTOR.c.digest.in_(bindparam("digests", expanding=True)))
HEAD = select(func.max(LOG.c.seq)).where(LOG.c.namespace == bindparam("namespace"))
