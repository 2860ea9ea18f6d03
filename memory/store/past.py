"""The past, folded from the log."""

from __future__ import annotations

import json
from dataclasses import replace

from sqlalchemy import ColumnElement, Connection, func, select

from memory.codec import from_json
from memory.store.rows import LOG
from memory.types import Item, Utility


def items_as_of(connection: Connection, namespace: str, seq: int) -> dict[str, Item]:
    """Every item as it stood at a log position: its last whole row, then the last change of its utility."""
    items: dict[str, Item] = {}
    since: dict[str, int] = {}
    for row_seq, item_id, after in _newest(connection, namespace, seq, LOG.c.op != "reinforce"):
        items[item_id] = from_json(Item, json.loads(after))
        since[item_id] = row_seq
    for row_seq, item_id, after in _newest(connection, namespace, seq, LOG.c.op == "reinforce"):
        if row_seq > since[item_id]:
            utility = from_json(Utility, json.loads(after)["utility"])
            items[item_id] = replace(items[item_id], utility=utility)
    return items


def _newest(
    connection: Connection, namespace: str, seq: int, which: ColumnElement[bool]
) -> list[tuple[int, str, str]]:
    newest = (
        select(func.max(LOG.c.seq).label("seq"))
        .where(LOG.c.namespace == namespace, LOG.c.seq <= seq, LOG.c.item.is_not(None), which)
        .group_by(LOG.c.item)
        .subquery()
    )
    query = select(LOG.c.seq, LOG.c.item, LOG.c.after).join(newest, LOG.c.seq == newest.c.seq)
    return [(row.seq, row.item, row.after) for row in connection.execute(query)]
