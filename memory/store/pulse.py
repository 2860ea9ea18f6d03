"""Signs that a namespace learns: when something of each sort last happened, and what was spent on it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import JSON, ColumnElement, Connection, Float, cast, func, select

from memory.pulse import RECENT, Pulse, Spending
from memory.store.rows import EPISODE, ITEM, LOG
from memory.types import ItemKind, Status

_DECISIONS = ("promote", "demote", "retire", "quarantine")
_SPENT = tuple(
    (use, kind) for use in ("usage", "learning") for kind in ("prompt_tokens", "completion_tokens")
)


def pulse(connection: Connection, namespace: str, since: float | None) -> Pulse:
    """As of one moment. Reads the history of the namespace's principles and its newest episodes, or, without
    `since`, the newest alone.
    """
    decided = _decided(connection, namespace)
    fallen = [at for op, at in decided.items() if op != "promote"]
    last, spent = _spent(connection, namespace, since)
    return Pulse(last, decided.get("promote"), max(fallen, default=None), spent)


def sizes(connection: Connection, namespace: str) -> dict[tuple[ItemKind, Status], int]:
    """Items by kind and status; what there is none of is left out."""
    query = (
        select(ITEM.c.kind, ITEM.c.status, func.count())
        .where(ITEM.c.namespace == namespace)
        .group_by(ITEM.c.kind, ITEM.c.status)
    )
    return {(row[0], row[1]): row[2] for row in connection.execute(query)}


def _decided(connection: Connection, namespace: str) -> Mapping[str, float]:
    """When each sort of decision was last taken: over principles, and over items that are quarantined."""
    query = (
        select(LOG.c.op, func.max(LOG.c.at))
        .join(ITEM, (LOG.c.namespace == ITEM.c.namespace) & (LOG.c.item == ITEM.c.id))
        .where(ITEM.c.namespace == namespace, LOG.c.op.in_(_DECISIONS))
        .where((ITEM.c.kind == "principle") | (ITEM.c.status == "quarantined"))
        .group_by(LOG.c.op)
    )
    return {row[0]: row[1] for row in connection.execute(query)}


def _spent(connection: Connection, namespace: str, since: float | None) -> tuple[float | None, Spending]:
    """When the newest episode ended, and what those cost that ended after a time."""
    numbers = [_number(connection, "ended_at"), *(_number(connection, *path) for path in _SPENT)]
    query = select(*numbers).where(EPISODE.c.namespace == namespace).order_by(EPISODE.c.key.desc())
    last, spent = None, Spending()
    limit = 1 if since is None else RECENT
    with connection.execute(query.limit(limit).execution_options(yield_per=64)) as rows:
        for ended_at, *tokens in rows:
            last = ended_at if last is None else last
            if since is None or ended_at <= since:
                break
            asked, said, thought, taught = (int(number or 0) for number in tokens)
            spent = Spending(spent.episodes + 1, spent.work + asked + said, spent.learning + thought + taught)
    return last, spent


def _number(connection: Connection, *path: str) -> ColumnElement[Any]:
    """A number of an episode by where it stands in the JSON; null where an older release wrote none."""
    if connection.dialect.name == "sqlite":
        return func.json_extract(EPISODE.c.data, "$." + ".".join(path))
    return cast(func.json_extract_path_text(cast(EPISODE.c.data, JSON), *path), Float)
