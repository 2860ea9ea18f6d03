"""Everything that changes the database, inside the writer's transaction. Each change appends its log row."""

from __future__ import annotations

import json
from collections.abc import Mapping

from sqlalchemy import delete, func, insert, select, text, update
from sqlalchemy.dialects import postgresql, sqlite

from memory.author import Author
from memory.codec import canonical, dumps, to_json
from memory.entry import Vector, digest_of, to_blob
from memory.errors import StoreError
from memory.store.fulltext import add_words, drop_words
from memory.store.reader import Credit, Reader
from memory.store.rows import (
    CREDIT,
    EPISODE,
    IDEMPOTENCY,
    ITEM,
    LOG,
    VECTOR,
    chained,
    item_of,
    item_values,
)
from memory.types import Episode, Item, Json, Utility

# Run by every write; building a statement costs more than running it.
_LAST = select(LOG.c.seq, LOG.c.hash).order_by(LOG.c.seq.desc()).limit(1)
_ADD_LOG, _ADD_ITEM = insert(LOG), insert(ITEM)
_ADD_VECTOR = {
    "sqlite": sqlite.insert(VECTOR).on_conflict_do_nothing(),
    "postgresql": postgresql.insert(VECTOR).on_conflict_do_nothing(),
}


class Writer(Reader):
    """A reader that may also write; handed to operations by `Store.write`."""

    def append(
        self,
        namespace: str,
        principal: str,
        op: str,
        *,
        at: float,
        item: str | None = None,
        version: int | None = None,
        before: Json = None,
        after: Json = None,
    ) -> int:
        """Add a row to the log; its seq is one more than the last, which only this transaction can see."""
        last = self._connection.execute(_LAST).first()
        seq = last.seq + 1 if last else 1
        values: dict[str, object] = {
            "seq": seq,
            "at": at,
            "namespace": namespace,
            "principal": principal,
            "op": op,
            "item": item,
            "version": version,
            "before": canonical(before),
            "after": canonical(after),
        }
        values["hash"] = chained(last.hash if last else "", values)
        self._connection.execute(_ADD_LOG, values)
        return int(seq)

    def add_item(self, item: Item, vector: Vector | None, author: Author, op: str) -> None:
        """A new item with its full-text row, vector and log row."""
        seq = self._log_item(item, None, author, op)
        added = self._connection.execute(_ADD_ITEM, item_values(item, seq))
        if not added.inserted_primary_key:
            raise StoreError("the database gave a new item no key")
        add_words(self._connection, added.inserted_primary_key[0], item.namespace, item.text)
        if vector is not None:
            self.add_vectors(item.namespace, author.encoder, {item.text: vector}, seq)

    def change_item(self, before: Item, after: Item, vector: Vector | None, author: Author, op: str) -> None:
        """A new version of an item; the one before stays in the log."""
        seq = self._log_item(after, before, author, op)
        same = (ITEM.c.namespace == after.namespace) & (ITEM.c.id == after.id)
        self._connection.execute(update(ITEM).where(same), item_values(after, seq))
        if after.text != before.text:
            key = self._connection.execute(select(ITEM.c.key).where(same)).scalar_one()
            drop_words(self._connection, key)
            add_words(self._connection, key, after.namespace, after.text)
        if vector is not None:
            self.add_vectors(after.namespace, author.encoder, {after.text: vector}, seq)

    def set_utility(self, item: Item, utility: Utility, principal: str, at: float) -> None:
        """New statistics of an item; its version stays, for nothing it says has changed."""
        seq = self.append(
            item.namespace,
            principal,
            "reinforce",
            at=at,
            item=item.id,
            version=item.version,
            before={"utility": to_json(item.utility)},
            after={"utility": to_json(utility)},
        )
        same = (ITEM.c.namespace == item.namespace) & (ITEM.c.id == item.id)
        values = {"utility": dumps(utility), "seq": seq}
        self._connection.execute(update(ITEM).where(same), values)

    def add_episode(self, episode: Episode, query_vector: Vector | None, principal: str, at: float) -> None:
        """A new episode, with the vector its recall was asked with."""
        after: Json = {"episode": episode.id, "sha256": digest_of(dumps(episode)), "outcome": episode.outcome}
        seq = self.append(episode.namespace, principal, "episode", at=at, after=after)
        self._connection.execute(insert(EPISODE), _episode_values(episode) | {"seq": seq})
        if query_vector is not None and episode.recall is not None:
            recall = episode.recall
            self.add_vectors(
                episode.namespace, recall.encoder, {recall.query.text: query_vector}, seq, "query"
            )

    def change_episode(self, before: Episode, after: Episode, principal: str, at: float) -> None:
        """An episode with later feedback; what it was before stays in the log."""
        self.append(
            after.namespace, principal, "feedback", at=at, before=_verdict(before), after=_verdict(after)
        )
        same = (EPISODE.c.namespace == after.namespace) & (EPISODE.c.id == after.id)
        self._connection.execute(update(EPISODE).where(same), _episode_values(after))

    def put_credit(self, namespace: str, episode: str, credit: Credit) -> None:
        """Remember what an episode added to an item."""
        values = {
            "namespace": namespace,
            "episode": episode,
            "item": credit.item,
            "shown": credit.shown,
            "place": credit.place,
            "reward": credit.reward,
        }
        changed = {name: values[name] for name in ("shown", "place", "reward")}
        same = ["namespace", "episode", "item"]
        if self._connection.dialect.name == "sqlite":
            added = sqlite.insert(CREDIT).values(values)
            self._connection.execute(added.on_conflict_do_update(index_elements=same, set_=changed))
        else:
            put = postgresql.insert(CREDIT).values(values)
            self._connection.execute(put.on_conflict_do_update(index_elements=same, set_=changed))

    def drop_credit(self, namespace: str, episode: str, item: str) -> None:
        """Forget it again."""
        same = (CREDIT.c.namespace == namespace) & (CREDIT.c.episode == episode) & (CREDIT.c.item == item)
        self._connection.execute(delete(CREDIT).where(same))

    def answer(self, namespace: str, key: str, request: str, items: tuple[Item, ...]) -> None:
        """Remember what an idempotency key was answered with."""
        values = {
            "namespace": namespace,
            "key": key,
            "request": request,
            "items": json.dumps([item.id for item in items]),
            "seq": self.head(namespace),
        }
        self._connection.execute(insert(IDEMPOTENCY), values)

    def add_vectors(
        self, namespace: str, encoder: str, vectors: Mapping[str, Vector], seq: int, purpose: str = "item"
    ) -> None:
        """Vectors by text; one that is there already stays as it is."""
        rows = [
            {
                "namespace": namespace,
                "encoder": encoder,
                "purpose": purpose,
                "digest": digest_of(of),
                "data": to_blob(vector),
                "seq": seq,
            }
            for of, vector in vectors.items()
        ]
        if rows:
            self._connection.execute(_ADD_VECTOR[self._connection.dialect.name], rows)

    def integrity(self) -> tuple[str, ...]:
        """What is wrong with the file, its full text, its log; empty when all is well."""
        problems: list[str] = []
        if self._connection.dialect.name == "sqlite":
            found = self._connection.exec_driver_sql("PRAGMA integrity_check").scalars().all()
            problems = [str(line) for line in found if line != "ok"]
        words = self._connection.execute(text("SELECT count(*) FROM item_fts")).scalar_one()
        items = self._connection.execute(select(func.count()).select_from(ITEM)).scalar_one()
        if words != items:
            problems.append(f"{items} items have {words} full-text rows")
        broken = self.first_broken()
        if broken is not None:
            problems.append(f"the log was changed at or before seq {broken}")
            return tuple(problems)
        for namespace in self._connection.execute(select(ITEM.c.namespace).distinct()).scalars().all():
            problems.extend(f"item {id_!r} is not what the log says" for id_ in self._strayed(namespace))
        return tuple(problems)

    def _strayed(self, namespace: str) -> list[str]:
        logged = self.items_as_of(namespace, self.head(namespace))
        rows = self._connection.execute(select(ITEM).where(ITEM.c.namespace == namespace))
        found = {row.id: item_of(row) for row in rows}
        return sorted(id_ for id_ in logged.keys() | found.keys() if logged.get(id_) != found.get(id_))

    def _log_item(self, item: Item, before: Item | None, author: Author, op: str) -> int:
        return self.append(
            item.namespace,
            author.principal,
            op,
            at=author.at,
            item=item.id,
            version=item.version,
            before=None if before is None else to_json(before),
            after=to_json(item),
        )


def _episode_values(episode: Episode) -> dict[str, object]:
    return {
        "id": episode.id,
        "namespace": episode.namespace,
        "task_id": episode.task_id,
        "family": episode.family,
        "outcome": episode.outcome,
        "data": dumps(episode),
    }


def _verdict(episode: Episode) -> Json:
    return {
        "episode": episode.id,
        "outcome": episode.outcome,
        "reward": episode.reward,
        "feedback": episode.feedback,
    }
