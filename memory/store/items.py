"""Questions about items."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select

from memory.entry import Vector, from_blob
from memory.errors import NotFound
from memory.store import statements
from memory.store.fulltext import mentions
from memory.store.rows import FIELDS, ITEM, item_of
from memory.store.session import Session, batches
from memory.types import Item, ItemKind, Scope, Status


class Items(Session):
    """The newest version of every item."""

    def find(self, namespace: str, item_id: str) -> Item | None:
        """One item, or None."""
        row = self._row(statements.ONE_ITEM, {"namespace": namespace, "id": item_id})
        return None if row is None else item_of(row)

    def item(self, namespace: str, item_id: str) -> Item:
        """One item. Raises NotFound, also for another namespace's id."""
        found = self.find(namespace, item_id)
        if found is None:
            raise NotFound(f"there is no item {item_id!r} in this namespace")
        return found

    def items_by_id(self, namespace: str, ids: Sequence[str]) -> dict[str, Item]:
        """Those of the ids that exist."""
        found: dict[str, Item] = {}
        for names in batches(ids):
            asked = {"namespace": namespace, **statements.padded(names)}
            items = map(item_of, self._rows(statements.some_items(len(asked) - 1), asked))
            found.update((item.id, item) for item in items)
        return found

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
        scope: Scope | None = None,
        newest: bool = False,
    ) -> tuple[Item, ...]:
        """A page of items, oldest first or `newest` first; `words` must all occur in the text."""
        order = ITEM.c.key.desc() if newest else ITEM.c.key
        query = select(*FIELDS).where(ITEM.c.namespace == namespace).order_by(order).limit(limit)
        asked = ((ITEM.c.kind, kind), (ITEM.c.status, status), (ITEM.c.family, family), (ITEM.c.scope, scope))
        for column, wanted in asked:
            if wanted is not None:
                query = query.where(column == wanted)
        if after is not None:
            at = self._key(ITEM, namespace, after)
            query = query.where(ITEM.c.key < at if newest else ITEM.c.key > at)
        if words is not None:
            query = query.where(mentions(self._connection, namespace, words))
        return tuple(item_of(row) for row in self._connection.execute(query))

    def same(self, namespace: str, dedupe: str, at: float) -> Item | None:
        """The oldest item that says the same and is neither retired nor over."""
        row = self._row(statements.SAME, {"namespace": namespace, "dedupe": dedupe, "at": at})
        return None if row is None else item_of(row)

    def twins(
        self, namespace: str, encoder: str, twin: str, at: float, limit: int
    ) -> list[tuple[str, Vector]]:
        """(id, vector) of items with that twin key, neither retired nor over: the newest, newest first."""
        asked = {"namespace": namespace, "encoder": encoder, "twin": twin, "at": at, "limit": limit}
        return [(id_, from_blob(data)) for id_, data in self._rows(statements.TWINS, asked)]

    def principles(self, namespace: str) -> tuple[Item, ...]:
        """All principles on trial or in force."""
        return self._living(namespace, "principle")

    def tools(self, namespace: str) -> tuple[Item, ...]:
        """All tools on trial or active."""
        return self._living(namespace, "tool")

    def _living(self, namespace: str, kind: ItemKind) -> tuple[Item, ...]:
        rows = self._rows(statements.OF_KIND, {"namespace": namespace, "kind": kind})
        return tuple(map(item_of, rows))
