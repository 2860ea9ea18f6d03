"""What a recall reads of the truth, most of it kept from one question to the next."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from sqlalchemy import Connection

from memory.entry import Vector
from memory.store import statements
from memory.store.feed import MANY, Feed
from memory.store.items import Items
from memory.store.kept import Kept, Touched
from memory.store.rows import BODY, TEXT, item_of
from memory.store.session import MOST
from memory.types import Item

OVERHEAD = 1_000
"""Bytes of an item or vector beside its texts or numbers."""
UNNAMED = frozenset({"episode", "feedback"})
"""Operations that name no item for they change none."""


@dataclass(frozen=True, slots=True)
class Keeping:
    """What readers of one process share."""

    items: Kept[Item] = field(default_factory=Kept)
    vectors: Kept[Vector] = field(default_factory=Kept)
    """By encoder and digest."""

    def forget(self, namespace: str, seq: int) -> None:
        """Let go of what was read of a namespace before log position `seq`."""
        self.items.forget(namespace, seq)
        self.vectors.forget(namespace, seq)


class Recalling(Items, Feed):
    """Candidates by key, their vectors by digest."""

    def __init__(self, connection: Connection, keeping: Keeping | None = None) -> None:
        """Without `keeping` all is read: so it must be where this transaction writes."""
        super().__init__(connection)
        self._keeping = keeping
        self._heads: dict[str, int] = {}

    def head(self, namespace: str) -> int:
        """Position of the namespace's newest log row; 0 when it has none."""
        if self._keeping is None:
            return super().head(namespace)
        known = self._heads.get(namespace)
        if known is None:
            known = self._heads[namespace] = super().head(namespace)
        return known

    def items_found(self, namespace: str, keys: Mapping[str, int]) -> dict[str, Item]:
        """Those of the ids, each with its key or 0, that exist: read by keys, which saves a page for each."""
        if self._keeping is None:
            return {id_: item for id_, (item, _) in self._weighed(namespace, keys).items()}
        kept, seq = self._keeping.items, self.head(namespace)
        found = kept.get(namespace, seq, keys, lambda after: self._touched(namespace, after))
        if len(found) < len(keys):
            read = self._weighed(namespace, {id_: key for id_, key in keys.items() if id_ not in found})
            kept.put(namespace, seq, read)
            found.update((id_, item) for id_, (item, _) in read.items())
        return found

    def vectors_found(self, namespace: str, encoder: str, digests: Sequence[str]) -> dict[str, Vector]:
        """Item vectors (d,) of a generation by text digest."""
        if self._keeping is None:
            return self.vectors(namespace, encoder, digests=digests)
        kept, seq = self._keeping.vectors, self.head(namespace)
        names = {encoder + digest: digest for digest in digests}
        known = kept.get(namespace, seq, names, lambda after: self._touched(namespace, after))
        found = {names[name]: vector for name, vector in known.items()}
        if len(found) < len(names):
            missing = [digest for digest in names.values() if digest not in found]
            read = self.vectors(namespace, encoder, digests=missing)
            weighed = {encoder + one: (vector, vector.nbytes + OVERHEAD) for one, vector in read.items()}
            kept.put(namespace, seq, weighed)
            found.update(read)
        return found

    def _weighed(self, namespace: str, keys: Mapping[str, int]) -> dict[str, tuple[Item, int]]:
        """Read them, each with about what it weighs."""
        found: dict[str, tuple[Item, int]] = {}
        every = sorted(key for key in keys.values() if key)
        for start in range(0, len(every), MOST):
            asked = statements.padded(every[start : start + MOST])
            for row in self._rows(statements.some_rows(len(asked)), asked):
                # The key of what was erased may be another's now.
                if row[0] in keys and row[1] == namespace:
                    found[row[0]] = item_of(row), len(row[TEXT]) + len(row[BODY]) + OVERHEAD
        if len(found) < len(keys):
            others = self.items_by_id(namespace, [id_ for id_ in keys if id_ not in found])
            found.update((id_, (item, 2 * len(item.text) + OVERHEAD)) for id_, item in others.items())
        return found

    def _touched(self, namespace: str, after: int) -> Touched:
        """What the log rows after position `after` may have changed."""
        asked = {"namespace": namespace, "after": after, "limit": MANY}
        rows = self._rows(statements.TOUCHED, asked)
        is_all = len(rows) == MANY or any(item is None and op not in UNNAMED for item, op in rows)
        return Touched(_named(item for item, _ in rows), is_all)


def _named(items: Iterable[str | None]) -> frozenset[str]:
    return frozenset(item for item in items if item is not None)
