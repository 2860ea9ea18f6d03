"""What the index is made from: entries in key order, vectors, and what has changed since."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import select

from memory.entry import Entry, Vector, from_blob, reach_of
from memory.nouns.making import maker
from memory.store import statements
from memory.store.rows import ITEM, VECTOR
from memory.store.session import Session, batches

_entry = maker(Entry)
FOREVER = 2**62
"""Later than any log position."""
MANY = 1000
"""More names than this are not worth sending: everything is read instead."""
PAGE = 10_000
"""Rows of a page, of entries or of the log."""


@dataclass(frozen=True, slots=True)
class Changes:
    """What a stretch of the log did to the entries of a namespace."""

    ids: frozenset[str]
    """Items whose entry may have changed, or that are gone."""
    is_reencoded: bool
    """Vectors were made anew: every entry may have another one."""
    seq: int
    """Position the stretch ends at; go on from there."""
    is_last: bool
    """Nothing follows."""


class Feed(Session):
    """Everything an index needs, in pages: nothing here holds a large namespace in memory."""

    def entries(
        self, namespace: str, encoder: str, *, after: int = 0, limit: int = PAGE
    ) -> list[tuple[int, Entry]]:
        """A page of (key, entry) that recall may find, by rising key from the one after key `after`.

        Entries bring their vector under the generation, None where there is none. A page shorter than `limit`
        is the last. Keys never change, so pages may be read in different transactions.
        """
        asked = {"namespace": namespace, "encoder": encoder, "after": after, "limit": limit}
        rows = self._rows(statements.ENTRIES, asked)
        return [
            (
                key,
                _entry(
                    id_,
                    kind,
                    text,
                    reach_of(scope, family, audience),
                    digest,
                    None if data is None else from_blob(data),
                    key,
                ),
            )
            for key, id_, kind, text, scope, family, audience, digest, data in rows
        ]

    def key_before(self, namespace: str, n: int) -> int:
        """The key after which the newest n items come; 0 when there are no others."""
        query = select(ITEM.c.key).where(ITEM.c.namespace == namespace).order_by(ITEM.c.key.desc())
        return self._connection.execute(query.limit(1).offset(n)).scalar() or 0

    def changes(
        self, namespace: str, after: int, *, encoder: str | None = None, limit: int = PAGE
    ) -> Changes:
        """What the log rows after position `after` changed, at most `limit` of them.

        Vectors made anew count where they are of the generation `encoder`, of any where none is named.
        """
        asked = {"namespace": namespace, "after": after, "limit": limit}
        rows = self._rows(statements.CHANGES, asked)
        is_last = len(rows) < limit
        return Changes(
            frozenset(item for _, item, _ in rows if item),
            any(_is_of(encoder, made) for _, _, made in rows),
            max(after, self.head(namespace)) if is_last else rows[-1][0],
            is_last,
        )

    def head(self, namespace: str) -> int:
        """Position of the namespace's newest log row; 0 when it has none."""
        row = self._row(statements.HEAD, {"namespace": namespace})
        return row[0] or 0 if row else 0

    def changed(self, namespace: str, after: int) -> tuple[frozenset[str], bool]:
        """Ids of items whose entry may have changed since, and whether vectors were made anew."""
        changes = self.changes(namespace, after, limit=FOREVER)
        return changes.ids, changes.is_reencoded

    def outlines(self, namespace: str, ids: Iterable[str] | None = None) -> list[Entry]:
        """Items that recall may find, without their vectors; all, or those of the ids."""
        if ids is None:
            rows = self._rows(statements.OUTLINES, {"namespace": namespace})
        else:
            rows = []
            for names in batches(ids):
                asked = {"namespace": namespace, **statements.padded(names)}
                rows += self._rows(statements.some_outlines(len(asked) - 1), asked)
        return [
            _entry(id_, kind, text, reach_of(scope, family, audience), digest, None, key)
            for key, id_, kind, text, scope, family, audience, digest in rows
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
        if digests is None or len(digests) > MANY:
            return {digest: from_blob(data) for digest, data in self._rows(statements.VECTORS, asked)}
        found: dict[str, Vector] = {}
        for names in batches(digests):
            values = {**asked, **statements.padded(names)}
            rows = self._rows(statements.some_vectors(len(values) - len(asked)), values)
            found.update((digest, from_blob(data)) for digest, data in rows)
        return found

    def unencoded(self, namespace: str, encoder: str, *, after: int, limit: int) -> list[tuple[int, str]]:
        """A page of (key, text) of items without a vector under a generation, by rising key."""
        known = select(VECTOR.c.digest).where(
            VECTOR.c.namespace == ITEM.c.namespace,
            VECTOR.c.encoder == encoder,
            VECTOR.c.purpose == "item",
            VECTOR.c.digest == ITEM.c.digest,
        )
        query = select(ITEM.c.key, ITEM.c.text).where(
            ITEM.c.namespace == namespace, ITEM.c.key > after, ~known.exists()
        )
        rows = self._connection.execute(query.order_by(ITEM.c.key).limit(limit))
        return [(row.key, row.text) for row in rows]

    def namespaces(self) -> tuple[str, ...]:
        """All that have items, in order."""
        query = select(ITEM.c.namespace).distinct().order_by(ITEM.c.namespace)
        return tuple(self._connection.execute(query).scalars())


def _is_of(encoder: str | None, made: str) -> bool:
    """Does a row say that vectors of the generation were made?"""
    said = json.loads(made or "null")
    return isinstance(said, dict) and encoder in {None, said.get("encoder")}
