"""The past, folded from the log."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import ColumnElement, Connection, func, select

from memory.codec import from_json, loads
from memory.store.rows import LOG
from memory.types import Item, Utility

ERASED = frozenset({"", "null"})
"""What is left of a row's text after an erasure; no item was ever written so."""
OUT_OF_SIGHT = frozenset({"retire", "quarantine", "supersede", "demote", "erase"})
"""Operations after which recall does not find an item."""


@dataclass(frozen=True, slots=True)
class Past:
    """The items of a namespace at a log position."""

    items: dict[str, Item]
    erased: frozenset[str]
    """Those that could be recalled then and whose text has been erased since."""


def past(connection: Connection, namespace: str, seq: int, ids: Sequence[str] | None = None) -> Past:
    """Items, all or those of the ids, as they stood: the last whole row, then the last change of utility."""
    items: dict[str, Item] = {}
    since: dict[str, int] = {}
    erased: set[str] = set()
    for row in _newest(connection, namespace, seq, LOG.c.op != "reinforce", ids):
        if row.after in ERASED:
            erased |= {row.item} - ({row.item} if row.op in OUT_OF_SIGHT else set())
            continue
        items[row.item] = loads(Item, row.after)
        since[row.item] = row.seq
    for row in _newest(connection, namespace, seq, LOG.c.op == "reinforce", ids):
        if row.item in items and row.seq > since[row.item]:
            utility = from_json(Utility, json.loads(row.after)["utility"])
            items[row.item] = replace(items[row.item], utility=utility)
    return Past(items, frozenset(erased))


def _newest(
    connection: Connection, namespace: str, seq: int, which: ColumnElement[bool], ids: Sequence[str] | None
) -> Sequence[Any]:
    newest = select(func.max(LOG.c.seq).label("seq")).where(
        LOG.c.namespace == namespace, LOG.c.seq <= seq, LOG.c.item.is_not(None), which
    )
    if ids is not None:
        newest = newest.where(LOG.c.item.in_(ids))
    last = newest.group_by(LOG.c.item).subquery()
    query = select(LOG.c.seq, LOG.c.item, LOG.c.op, LOG.c.after).join(last, LOG.c.seq == last.c.seq)
    return connection.execute(query).all()
