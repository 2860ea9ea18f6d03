"""What a recall reads of the truth, most of it kept from one question to the next."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from sqlalchemy import Connection

from memory.entry import Vector, digest_of
from memory.store import statements
from memory.store.feed import MANY, Feed
from memory.store.items import Items
from memory.store.kept import ROOM, Kept, Touched
from memory.store.rows import BODY, TEXT, item_of
from memory.store.session import MOST
from memory.types import Item

OVERHEAD = 1_000
"""Bytes of an item or vector beside its texts or numbers."""
UNNAMED = frozenset({"episode", "feedback"})
"""Operations that name no item for they change none."""


class Keeping:
    """What readers of one process share. Thread-safe."""

    def __init__(self, most: int = ROOM) -> None:
        """`most` bounds the items, and the vectors of each encoder."""
        self.items: Kept[Item] = Kept(most)
        self._vectors: dict[str, Kept[Vector]] = {}
        self._most = most

    def vectors(self, encoder: str) -> Kept[Vector]:
        """By the items whose texts they are of."""
        return self._vectors.setdefault(encoder, Kept(self._most))

    def forget(self, namespace: str, seq: int) -> None:
        """Let go of what was read of a namespace before log position `seq`."""
        self.items.forget(namespace, seq)
        for vectors in list(self._vectors.values()):
            vectors.forget(namespace, seq)


class Recalling(Items, Feed):
    """Candidates and their vectors, read again only where the log names them."""

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

    def vectors_found(self, namespace: str, encoder: str, texts: Mapping[str, str]) -> dict[str, Vector]:
        """Vectors (d,) of a generation by item; `texts` says what each item says at this moment."""
        if self._keeping is None:
            return self._vectors_of(namespace, encoder, texts)
        kept, seq = self._keeping.vectors(encoder), self.head(namespace)
        found = kept.get(namespace, seq, texts, lambda after: self._touched(namespace, after))
        if len(found) < len(texts):
            missing = {id_: text for id_, text in texts.items() if id_ not in found}
            read = self._vectors_of(namespace, encoder, missing)
            kept.put(namespace, seq, {id_: (one, one.nbytes + OVERHEAD) for id_, one in read.items()})
            found.update(read)
        return found

    def _vectors_of(self, namespace: str, encoder: str, texts: Mapping[str, str]) -> dict[str, Vector]:
        digests = {id_: digest_of(text) for id_, text in texts.items()}
        known = self.vectors(namespace, encoder, digests=sorted(set(digests.values())))
        return {id_: known[digest] for id_, digest in digests.items() if digest in known}

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
