"""Statements that every recall or write runs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache

from sqlalchemy import (
    ColumnClause,
    Table,
    bindparam,
    case,
    exists,
    func,
    insert,
    literal_column,
    select,
    update,
)

from memory.entry import RECALLABLE
from memory.store.prepared import Prepared
from memory.store.rows import (
    CREDIT,
    EPISODE,
    FIELDS,
    ITEM,
    LINK,
    LOG,
    TALLY,
    TOOLSET,
    VECTOR,
    WITH_TOOLS,
)

_IN = ITEM.c.namespace == bindparam("namespace")
_VALID = ITEM.c.valid_to.is_(None) | (ITEM.c.valid_to > bindparam("at"))
_OUTLINE = (
    *(ITEM.c.key, ITEM.c.id, ITEM.c.kind, ITEM.c.text, ITEM.c.scope, ITEM.c.family),
    *(ITEM.c.audience, ITEM.c.digest),
)
_ITEM_VECTOR = (
    (VECTOR.c.namespace == ITEM.c.namespace)
    & (VECTOR.c.encoder == bindparam("encoder"))
    & (VECTOR.c.purpose == "item")
    & (VECTOR.c.digest == ITEM.c.digest)
)

SIZES = (1, 8, 16, 32, 64, 256, 1000)
"""Lists of names are padded to one of these lengths, so that there are few statements to compile."""


def _columns(table: Table) -> tuple[str, ...]:
    return tuple(column.name for column in table.columns)


def _spelt(words: Iterable[str]) -> list[ColumnClause[str]]:
    """Words of our own as part of a statement: lists of values are filled in later than we compile."""
    return [literal_column(f"'{word}'") for word in sorted(words)]


def padded(names: Sequence[str | int]) -> dict[str, object]:
    """The values of a `some_…` statement: the last name repeated up to the next size.

    >>> padded(["a", "b"])["name_7"]
    'b'
    """
    size = next(size for size in SIZES if size >= len(names))
    every = [*names, *[names[-1]] * (size - len(names))]
    return dict(zip(_places(size), every, strict=True))


@cache
def _places(size: int) -> tuple[str, ...]:
    return tuple(f"name_{place}" for place in range(size))


# Items

ONE_ITEM = Prepared(select(*FIELDS).where(_IN, ITEM.c.id == bindparam("id")))
KEY = Prepared(select(ITEM.c.key).where(_IN, ITEM.c.id == bindparam("id")))
OF_KIND = Prepared(
    select(*FIELDS).where(_IN, ITEM.c.kind == bindparam("kind"), ITEM.c.status.in_(_spelt(RECALLABLE)))
)
SAME = Prepared(
    select(*FIELDS)
    .where(_IN, ITEM.c.dedupe == bindparam("dedupe"), ITEM.c.status != "retired", _VALID)
    .order_by(ITEM.c.key)
    .limit(1)
)
TWINS = Prepared(
    select(ITEM.c.id, VECTOR.c.data)
    .select_from(ITEM.join(VECTOR, _ITEM_VECTOR))
    .where(_IN, ITEM.c.twin == bindparam("twin"), ITEM.c.status != "retired", _VALID)
    .order_by(ITEM.c.key.desc())
    .limit(bindparam("limit"))
)


@cache
def some_items(size: int) -> Prepared:
    """Items by id, `size` of them at most."""
    return Prepared(select(*FIELDS).where(_IN, ITEM.c.id.in_(_names(size))))


@cache
def some_rows(size: int) -> Prepared:
    """Items of any namespace by key, `size` of them at most.

    The namespace is for the caller to check: asked for here, SQLite would go by an index on it.
    """
    return Prepared(select(*FIELDS).where(ITEM.c.key.in_(_names(size))))


# What the index is made from

HEAD = Prepared(select(func.max(LOG.c.seq)).where(LOG.c.namespace == bindparam("namespace")))
CHANGES = Prepared(
    select(LOG.c.seq, LOG.c.item, case((LOG.c.op == "reencode", LOG.c.after), else_="null"))
    .where(LOG.c.namespace == bindparam("namespace"), LOG.c.seq > bindparam("after"))
    .where(LOG.c.op.not_in(_spelt(("reinforce", "episode", "feedback"))))
    .order_by(LOG.c.seq)
    .limit(bindparam("limit"))
)
TOUCHED = Prepared(
    select(LOG.c.item, LOG.c.op)
    .where(LOG.c.namespace == bindparam("namespace"), LOG.c.seq > bindparam("after"))
    .order_by(LOG.c.seq)
    .limit(bindparam("limit"))
)
ENTRIES = Prepared(
    select(*_OUTLINE, VECTOR.c.data)
    .select_from(ITEM.outerjoin(VECTOR, _ITEM_VECTOR))
    .where(_IN, ITEM.c.key > bindparam("after"), ITEM.c.status.in_(_spelt(RECALLABLE)))
    .order_by(ITEM.c.key)
    .limit(bindparam("limit"))
)
_LIVING = select(*_OUTLINE).where(_IN, ITEM.c.status.in_(_spelt(RECALLABLE)))
OUTLINES = Prepared(_LIVING)
_VECTORS = (
    select(VECTOR.c.digest, VECTOR.c.data)
    .where(VECTOR.c.namespace == bindparam("namespace"), VECTOR.c.encoder == bindparam("encoder"))
    .where(VECTOR.c.purpose == "item", VECTOR.c.seq <= bindparam("until"))
)
VECTORS = Prepared(_VECTORS)


@cache
def some_outlines(size: int) -> Prepared:
    """Outlines by id, `size` of them at most."""
    return Prepared(_LIVING.where(ITEM.c.id.in_(_names(size))))


@cache
def some_vectors(size: int) -> Prepared:
    """Vectors by digest, `size` of them at most."""
    return Prepared(_VECTORS.where(VECTOR.c.digest.in_(_names(size))))


def _names(size: int) -> list[object]:
    return [bindparam(place) for place in _places(size)]


# Episodes

ATTEMPTS = Prepared(
    select(EPISODE.c.id)
    .where(EPISODE.c.namespace == bindparam("namespace"), EPISODE.c.task_id == bindparam("task"))
    .where(EPISODE.c.seq <= bindparam("until"))
)
ONE_EPISODE = Prepared(
    select(EPISODE.c.data, TOOLSET.c.data)
    .select_from(WITH_TOOLS)
    .where(EPISODE.c.namespace == bindparam("namespace"), EPISODE.c.id == bindparam("id"))
)
TOSSES = Prepared(
    select(CREDIT.c.shown, CREDIT.c.propensity, CREDIT.c.reward, CREDIT.c.centre)
    .where(CREDIT.c.namespace == bindparam("namespace"), CREDIT.c.item == bindparam("item"))
    .where(CREDIT.c.test == bindparam("test"), CREDIT.c.propensity < 1.0)
    .order_by(CREDIT.c.seq, CREDIT.c.episode)
    .limit(bindparam("limit"))
)

# Writing

LAST = Prepared(select(LOG.c.seq, LOG.c.hash).order_by(LOG.c.seq.desc()).limit(1))
LAST_KEY = Prepared(select(func.max(ITEM.c.key)))
ADD_LOG = Prepared(insert(LOG), _columns(LOG))
ADD_ITEM = Prepared(insert(ITEM), _columns(ITEM))
ADD_EPISODE = Prepared(insert(EPISODE), tuple(name for name in _columns(EPISODE) if name != "key"))
ADD_TOOLSET = Prepared.adding(TOOLSET, _columns(TOOLSET), lambda row: row.on_conflict_do_nothing())
DROP_TOOLSETS = Prepared(
    TOOLSET.delete().where(
        TOOLSET.c.namespace == bindparam("namespace"),
        ~exists().where(EPISODE.c.namespace == TOOLSET.c.namespace, EPISODE.c.tools == TOOLSET.c.digest),
    )
)
"""Those that no episode was shown, or none that is left."""
ADD_VECTOR = Prepared.adding(VECTOR, _columns(VECTOR), lambda row: row.on_conflict_do_nothing())
ADD_LINK = Prepared.adding(LINK, _columns(LINK), lambda row: row.on_conflict_do_nothing())
DROP_LINKS = Prepared(
    LINK.delete().where(LINK.c.namespace == bindparam("namespace"), LINK.c.item == bindparam("item"))
)
CHANGE_ITEM = Prepared(
    update(ITEM).where(ITEM.c.namespace == bindparam("of_namespace"), ITEM.c.id == bindparam("of_id")),
    tuple(name for name in _columns(ITEM) if name not in {"key", "id", "namespace"}),
)
CHANGE_UTILITY = Prepared(
    update(ITEM).where(ITEM.c.namespace == bindparam("of_namespace"), ITEM.c.id == bindparam("of_id")),
    ("utility", "seq"),
)
COUNT = Prepared.adding(
    TALLY,
    _columns(TALLY),
    lambda row: row.on_conflict_do_update(
        index_elements=["namespace"],
        set_={name: TALLY.c[name] + row.excluded[name] for name in ("items", "living", "episodes")},
    ),
)
TALLIED = Prepared(
    select(TALLY.c["items"], TALLY.c.living, TALLY.c.episodes).where(
        TALLY.c.namespace == bindparam("namespace")
    )
)
