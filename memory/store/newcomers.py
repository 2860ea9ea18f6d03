"""New items on their way into the tables."""

from __future__ import annotations

from sqlalchemy import bindparam, exists, func, select

from memory.entry import Vector, digest_of
from memory.store.appender import vector_row
from memory.store.prepared import Prepared
from memory.store.rows import ITEM, Said, item_text, item_values, links_of, parts_of
from memory.types import Item
from memory.words import searchable
from memory.writing.admission import Keys

Sought = tuple[str, Keys]
"""A namespace, and what a duplicate is looked for with in it."""

_ASKED = func.json_each(bindparam("keys")).table_valued("value", name="asked")
_HAS = ITEM.c.namespace == bindparam("namespace")
NOBODYS_DEDUPE, NOBODYS_TWIN = (
    Prepared(select(_ASKED.c.value).where(~exists().where(_HAS, column == _ASKED.c.value)))
    for column in (ITEM.c.dedupe, ITEM.c.twin)
)
"""Of a JSON list of keys those that no item has; SQLite alone."""


class Newcomer:
    """An item on its way into the tables. All but its place is worked out here, before the transaction."""

    __slots__ = ("after", "digest", "item", "links", "row", "said", "vector", "vector_row", "words")

    def __init__(self, item: Item, said: Said, vector: Vector | None) -> None:
        parts = parts_of(item, said.body)
        self.item = item
        self.said = said
        self.vector = vector
        self.row = item_values(item, said, parts, seq=0)
        """Without its key, and at no position yet."""
        self.after = item_text(item, parts)
        self.digest = digest_of(self.after)
        self.links = links_of(item)
        self.words = searchable(item.text)
        self.vector_row = None if vector is None else vector_row(item.namespace, "", said.digest, vector, 0)
        """Of no generation yet, and at no position."""


class Lately:
    """New items whose rows wait, by what duplicates of them are looked for with."""

    def __init__(self) -> None:
        self._all: list[tuple[int, str, Newcomer]] = []
        """With the place their rows end at and their encoder generation, in order."""
        self.clear()

    def add(self, place: int, encoder: str, one: Newcomer) -> None:
        """One more."""
        self._all.append((place, encoder, one))
        self._index(encoder, one)

    def clear(self) -> None:
        """They are in the tables now; should that be undone, `rewind` knows them."""
        self.said: dict[tuple[str, str], Newcomer] = {}
        self.twins: dict[tuple[str, str, str], list[Newcomer]] = {}

    def rewind(self, begin: int, end: int) -> None:
        """Only those whose rows are at these places wait."""
        self.clear()
        self._all = [one for one in self._all if one[0] <= end]
        for place, encoder, one in self._all:
            if place > begin:
                self._index(encoder, one)

    def _index(self, encoder: str, one: Newcomer) -> None:
        namespace, keys = one.item.namespace, one.said.keys
        self.said.setdefault((namespace, keys.dedupe), one)
        self.twins.setdefault((namespace, encoder, keys.twin), []).append(one)
