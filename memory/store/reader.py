"""Everything that is asked of the database, as of one moment."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import ColumnElement, Connection, Table, false, func, select, text

from memory.entry import RECALLABLE, Entry, Vector, from_blob, reach_of
from memory.errors import NotFound
from memory.store import statements
from memory.store.past import items_as_of
from memory.store.rows import (
    CREDIT,
    EPISODE,
    IDEMPOTENCY,
    ITEM,
    LOG,
    VECTOR,
    chained,
    episode_of,
    item_of,
    log_of,
    space_of,
)
from memory.types import Episode, Item, ItemKind, LogEntry, Status
from memory.words import searchable

FOREVER = 2**62
"""Later than any log position."""
MANY = 1000
"""More names than this are not worth sending: everything is read instead."""


@dataclass(frozen=True, slots=True)
class Credit:
    """What an episode added to an item's utility."""

    item: str
    shown: bool
    place: int
    reward: float


@dataclass(frozen=True, slots=True)
class Counts:
    """Sizes of the database."""

    items: int
    episodes: int
    log_seq: int
    last_write_at: float | None


class Reader:
    """Queries over one transaction. Not thread-safe; short-lived."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    # Items

    def find(self, namespace: str, item_id: str) -> Item | None:
        """One item, or None."""
        row = self._connection.execute(statements.ONE_ITEM, {"namespace": namespace, "id": item_id}).first()
        return None if row is None else item_of(row)

    def item(self, namespace: str, item_id: str) -> Item:
        """One item. Raises NotFound, also for another namespace's id."""
        found = self.find(namespace, item_id)
        if found is None:
            raise NotFound(f"there is no item {item_id!r} in this namespace")
        return found

    def items_by_id(self, namespace: str, ids: Sequence[str]) -> dict[str, Item]:
        """Those of the ids that exist."""
        rows = self._connection.execute(statements.SOME_ITEMS, {"namespace": namespace, "ids": list(ids)})
        return {row.id: item_of(row) for row in rows}

    def items(
        self,
        namespace: str,
        *,
        kind: ItemKind | None,
        status: Status | None,
        family: str | None,
        words: str | None,
        limit: int | None,
        after: str | None,
    ) -> tuple[Item, ...]:
        """A page of items, oldest first; `words` must all occur in the text."""
        query = select(ITEM).where(ITEM.c.namespace == namespace).order_by(ITEM.c.key).limit(limit)
        for column, wanted in ((ITEM.c.kind, kind), (ITEM.c.status, status), (ITEM.c.family, family)):
            if wanted is not None:
                query = query.where(column == wanted)
        if after is not None:
            query = query.where(ITEM.c.key > self._key(ITEM, namespace, after))
        if words is not None:
            query = query.where(_mentions(namespace, words))
        return tuple(item_of(row) for row in self._connection.execute(query))

    def same(self, namespace: str, dedupe: str, at: float) -> Item | None:
        """The oldest item that says the same and is neither retired nor over."""
        asked = {"namespace": namespace, "dedupe": dedupe, "at": at}
        row = self._connection.execute(statements.SAME, asked).first()
        return None if row is None else item_of(row)

    def principles(self, namespace: str) -> tuple[Item, ...]:
        """All principles on trial or in force."""
        query = select(ITEM).where(
            ITEM.c.namespace == namespace, ITEM.c.kind == "principle", ITEM.c.status.in_(RECALLABLE)
        )
        return tuple(item_of(row) for row in self._connection.execute(query))

    # What the index is made from

    def head(self, namespace: str) -> int:
        """Position of the namespace's newest log row; 0 when it has none."""
        return self._connection.execute(statements.HEAD, {"namespace": namespace}).scalar() or 0

    def changed(self, namespace: str, after: int) -> tuple[frozenset[str], bool]:
        """Ids of items whose entry may have changed since, and whether vectors were made anew."""
        rows = self._connection.execute(statements.CHANGED, {"namespace": namespace, "after": after}).all()
        return frozenset(row.item for row in rows if row.item), any(row.op == "reencode" for row in rows)

    def outlines(self, namespace: str, ids: Iterable[str] | None = None) -> list[Entry]:
        """Items that recall may find, without their vectors; all, or those of the ids."""
        if ids is None:
            rows = self._connection.execute(statements.OUTLINES, {"namespace": namespace})
        else:
            rows = self._connection.execute(
                statements.SOME_OUTLINES, {"namespace": namespace, "ids": list(ids)}
            )
        return [
            Entry(row.id, row.kind, row.text, reach_of(row.scope, row.family, row.audience), row.digest, None)
            for row in rows
        ]

    def vector(self, namespace: str, encoder: str, purpose: str, digest: str) -> Vector | None:
        """A stored vector (d,)."""
        query = select(VECTOR.c.data).where(
            VECTOR.c.namespace == namespace,
            VECTOR.c.encoder == encoder,
            VECTOR.c.purpose == purpose,
            VECTOR.c.digest == digest,
        )
        data = self._connection.execute(query).scalar()
        return None if data is None else from_blob(data)

    def vectors(
        self,
        namespace: str,
        encoder: str,
        *,
        digests: Sequence[str] | None = None,
        until: int = FOREVER,
    ) -> dict[str, Vector]:
        """Item vectors of a generation by text digest; of these digests, known at log position `until`."""
        asked: dict[str, object] = {"namespace": namespace, "encoder": encoder, "until": until}
        if digests is not None and len(digests) <= MANY:
            rows = self._connection.execute(statements.SOME_VECTORS, asked | {"digests": list(digests)})
        else:
            rows = self._connection.execute(statements.VECTORS, asked)
        return {row.digest: from_blob(row.data) for row in rows}

    def unencoded(self, encoder: str, limit: int) -> tuple[tuple[str, str], ...]:
        """(namespace, text) of items without a vector under a generation."""
        known = select(VECTOR.c.digest).where(
            VECTOR.c.namespace == ITEM.c.namespace,
            VECTOR.c.encoder == encoder,
            VECTOR.c.purpose == "item",
            VECTOR.c.digest == ITEM.c.digest,
        )
        query = select(ITEM.c.namespace, ITEM.c.text).where(~known.exists()).distinct().limit(limit)
        return tuple((row.namespace, row.text) for row in self._connection.execute(query))

    # Episodes

    def episode(self, namespace: str, episode_id: str) -> Episode:
        """One episode. Raises NotFound, also for another namespace's id."""
        found = self.find_episode(namespace, episode_id)
        if found is None:
            raise NotFound(f"there is no episode {episode_id!r} in this namespace")
        return found

    def find_episode(self, namespace: str, episode_id: str) -> Episode | None:
        """One episode, or None."""
        query = select(EPISODE.c.data).where(EPISODE.c.namespace == namespace, EPISODE.c.id == episode_id)
        row = self._connection.execute(query).first()
        return None if row is None else episode_of(row)

    def episodes(
        self,
        namespace: str,
        *,
        limit: int | None,
        after: str | None,
        task_id: str | None,
        family: str | None,
        newest: bool = False,
    ) -> tuple[Episode, ...]:
        """A page of episodes, oldest first, or newest first."""
        order = EPISODE.c.key.desc() if newest else EPISODE.c.key.asc()
        query = select(EPISODE).where(EPISODE.c.namespace == namespace).order_by(order).limit(limit)
        for column, wanted in ((EPISODE.c.task_id, task_id), (EPISODE.c.family, family)):
            if wanted is not None:
                query = query.where(column == wanted)
        if after is not None:
            key = self._key(EPISODE, namespace, after)
            query = query.where(EPISODE.c.key < key if newest else EPISODE.c.key > key)
        return tuple(episode_of(row) for row in self._connection.execute(query))

    def attempts(self, namespace: str, task_id: str, until: int) -> frozenset[str]:
        """Ids of the episodes of one task recorded up to a log position."""
        query = select(EPISODE.c.id).where(
            EPISODE.c.namespace == namespace, EPISODE.c.task_id == task_id, EPISODE.c.seq <= until
        )
        return frozenset(self._connection.execute(query).scalars())

    def credits(self, namespace: str, episode_id: str) -> dict[str, Credit]:
        """What an episode has added so far, by item."""
        query = select(CREDIT).where(CREDIT.c.namespace == namespace, CREDIT.c.episode == episode_id)
        rows = self._connection.execute(query)
        return {row.item: Credit(row.item, row.shown, row.place, row.reward) for row in rows}

    def answered(self, namespace: str, key: str) -> tuple[str, tuple[str, ...]] | None:
        """Request hash and item ids of an idempotency key."""
        query = select(IDEMPOTENCY).where(IDEMPOTENCY.c.namespace == namespace, IDEMPOTENCY.c.key == key)
        row = self._connection.execute(query).first()
        return None if row is None else (row.request, tuple(json.loads(row.items)))

    # The log

    def log(self, namespace: str, *, after: int, limit: int | None) -> tuple[LogEntry, ...]:
        """A page of a namespace's log, oldest first."""
        query = select(LOG).where(LOG.c.namespace == namespace, LOG.c.seq > after)
        rows = self._connection.execute(query.order_by(LOG.c.seq).limit(limit))
        return tuple(log_of(row) for row in rows)

    def history(self, namespace: str, item_id: str) -> tuple[LogEntry, ...]:
        """Everything that happened to one item. Raises NotFound."""
        query = select(LOG).where(LOG.c.namespace == namespace, LOG.c.item == item_id).order_by(LOG.c.seq)
        rows = tuple(log_of(row) for row in self._connection.execute(query))
        if not rows:
            raise NotFound(f"there is no item {item_id!r} in this namespace")
        return rows

    def items_as_of(self, namespace: str, seq: int) -> dict[str, Item]:
        """Every item as it stood at a log position, utility included, folded from the log."""
        return items_as_of(self._connection, namespace, seq)

    def counts(self) -> Counts:
        """Sizes, over all namespaces."""
        items = self._connection.execute(select(func.count()).select_from(ITEM)).scalar_one()
        episodes = self._connection.execute(select(func.count()).select_from(EPISODE)).scalar_one()
        newest = self._connection.execute(select(LOG.c.seq, LOG.c.at).order_by(LOG.c.seq.desc())).first()
        seq, at = (newest.seq, newest.at) if newest else (0, None)
        return Counts(items, episodes, seq, at)

    def first_broken(self) -> int | None:
        """Log position of the first row that does not follow from the one before it; None when all do."""
        previous, expected = "", 1
        for row in self._connection.execute(select(LOG).order_by(LOG.c.seq)):
            values = dict(row._mapping)
            if row.seq != expected or row.hash != chained(previous, values):
                return expected
            previous, expected = row.hash, expected + 1
        newest = [
            self._connection.execute(select(func.max(table.c.seq))).scalar() for table in (ITEM, EPISODE)
        ]
        return expected if max(seq or 0 for seq in newest) >= expected else None

    def backup(self, target: Path) -> None:
        """Copy the database through SQLite's backup."""
        raw = self._connection.connection.driver_connection
        assert isinstance(raw, sqlite3.Connection)
        with sqlite3.connect(target) as copy:
            raw.backup(copy)
        copy.close()

    def _key(self, table: Table, namespace: str, wanted: str) -> int:
        query = select(table.c.key).where(table.c.namespace == namespace, table.c.id == wanted)
        found = self._connection.execute(query).scalar()
        if found is None:
            raise NotFound(f"there is no {wanted!r} in this namespace to continue after")
        return int(found)


def _mentions(namespace: str, words: str) -> ColumnElement[bool]:
    """Holds for items with all the words; each is quoted and of our own alphabet, so none is malformed."""
    wanted = " AND ".join(f'"{word}"' for word in searchable(words).split())
    if not wanted:
        return false()
    found = text("SELECT rowid FROM item_fts WHERE item_fts MATCH :match").columns(ITEM.c.key)
    match = f'space : "{space_of(namespace)}" AND words : ({wanted})'
    return ITEM.c.key.in_(found.bindparams(match=match))
