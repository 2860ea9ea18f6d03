"""Everything that changes the database, inside the writer's transaction. Each change appends its log row."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, fields, replace

from sqlalchemy import Connection, delete, insert, update

from memory.author import Author
from memory.codec import dumps
from memory.entry import RECALLABLE, Vector, digest_of
from memory.errors import NotFound
from memory.heldout import HeldOut, check_evidence, check_task, nothing
from memory.store import statements
from memory.store.appender import Appender, vector_row
from memory.store.chain import NOTHING
from memory.store.fulltext import Words
from memory.store.health import problems
from memory.store.newcomers import NOBODYS_DEDUPE, NOBODYS_TWIN, Lately, Sought
from memory.store.newcomers import Newcomer as Newcomer
from memory.store.prepared import Prepared
from memory.store.reader import Credit, Reader
from memory.store.rows import (
    CREDIT,
    EPISODE,
    IDEMPOTENCY,
    Parts,
    item_text,
    item_values,
    links_of,
    parts_of,
    said_of,
    space_of,
    toolset_values,
)
from memory.types import Episode, Item, Json, Utility
from memory.words import searchable
from memory.writing.admission import Keys

_PUT_CREDIT = Prepared.adding(
    CREDIT,
    ("namespace", "episode", *(field.name for field in fields(Credit))),
    lambda row: row.on_conflict_do_update(
        index_elements=["namespace", "episode", "item"],
        set_={field.name: row.excluded[field.name] for field in fields(Credit) if field.name != "item"},
    ),
)

FEW = 4
"""Keys of one namespace that are looked up one by one."""


class Writer(Appender):
    """A reader that may also write; handed to operations by `Store.write`, one for a whole transaction."""

    def __init__(self, connection: Connection, held: HeldOut = nothing) -> None:
        """`held`: the tasks of a namespace that nothing may be learned from."""
        super().__init__(connection)
        self._held_out = held
        self._words = Words(self._dialect.name)
        self._lately = Lately()
        self._unknown: set[tuple[str, str]] = set()
        """Namespaces and keys that no item had when the transaction began, until something is written."""

    def foresee(self, sought: Iterable[Sought]) -> None:
        """Look all of these up at once, before anything else: most of what is written is new."""
        keys: dict[str, list[Keys]] = {}
        for namespace, one in sought:
            keys.setdefault(namespace, []).append(one)
        for namespace, some in keys.items():
            if len(some) >= FEW and self._direct is not None:
                self._ask(NOBODYS_DEDUPE, namespace, [one.dedupe for one in some])
                self._ask(NOBODYS_TWIN, namespace, [one.twin for one in some])

    def _ask(self, statement: Prepared, namespace: str, keys: list[str]) -> None:
        asked = {"namespace": namespace, "keys": json.dumps(keys)}
        self._unknown.update((namespace, key) for (key,) in Reader._rows(self, statement, asked))

    def add_item(self, item: Item, vector: Vector | None, author: Author, op: str) -> None:
        """A new item with its full-text row, vector, links and log row."""
        self.add_items([Newcomer(item, said_of(item), vector)], author, op)

    def add_items(self, newcomers: Sequence[Newcomer], author: Author, op: str) -> None:
        """New items of one namespace, each kind of row in one go; they wait for those of other operations."""
        if not newcomers:
            return
        end, namespace = self._end(), newcomers[0].item.namespace
        self._check_held(namespace, newcomers)
        space = space_of(namespace)
        for one in newcomers:
            item = one.item
            logged = self._log_row(
                *(namespace, author.principal, op, author.at, item.id, item.version),
                before=NOTHING,
                after=one.after,
                after_digest=one.digest,
            )
            end.key += 1
            place = {"seq": end.seq, "key": end.key}
            self._later += [(statements.ADD_LOG, logged), (statements.ADD_ITEM, one.row | place)]
            if one.vector_row is not None:
                vector = one.vector_row | {"encoder": author.encoder, "seq": end.seq}
                self._later.append((statements.ADD_VECTOR, vector))
            self._later += [(statements.ADD_LINK, row) for row in one.links]
            self._later.append((self._words.add, self._words.row(end.key, space, one.words)))
            self._lately.add(len(self._later), author.encoder, one)
        living = sum(one.item.status in RECALLABLE for one in newcomers)
        self._count(namespace, items=len(newcomers), living=living)

    def _check_held(self, namespace: str, newcomers: Sequence[Newcomer]) -> None:
        """Raises Denied when one of them rests on a task that is held out."""
        if not (held := self._held_out(namespace)):
            return
        for one in newcomers:
            for piece in one.item.lineage.evidence:
                check_evidence(held, one.item.text, self.find_episode(namespace, piece.episode))

    def settle(self) -> None:
        """Write what waits, and see that what follows can be taken back."""
        super().settle()
        self._lately.clear()
        self._unknown.clear()

    def take_back(self) -> None:
        """Undo what was done since the mark."""
        super().take_back()
        self._lately.rewind(self._n_settled, len(self._later))

    def same(self, namespace: str, dedupe: str, at: float) -> Item | None:
        """The oldest item that says the same and is neither retired nor over, also when it still waits."""
        one = self._lately.said.get((namespace, dedupe))
        if one is not None and _holds(one.item, at):
            return one.item
        return None if (namespace, dedupe) in self._unknown else super().same(namespace, dedupe, at)

    def twins(
        self, namespace: str, encoder: str, twin: str, at: float, limit: int
    ) -> list[tuple[str, Vector]]:
        """(id, vector) of items with that twin key, also of those that wait: the newest, newest first."""
        is_new = (namespace, twin) in self._unknown
        stored = [] if is_new else super().twins(namespace, encoder, twin, at, limit)
        waiting = self._lately.twins.get((namespace, encoder, twin), ())
        fresh = [
            (one.item.id, one.vector)
            for one in reversed(waiting)
            if one.vector is not None and _holds(one.item, at)
        ]
        return (fresh + stored)[:limit]

    def change_item(self, before: Item, after: Item, vector: Vector | None, author: Author, op: str) -> None:
        """A new version of an item; the one before stays in the log."""
        said = said_of(after)
        parts = parts_of(after, said.body)
        was = item_text(before, parts_of(before))
        self._run(statements.ADD_LOG, [self._item_row(after, parts, was, author, op)])
        seq = self._end().seq
        self._run(statements.CHANGE_ITEM, [_named(after) | item_values(after, said, parts, seq)])
        if after.text != before.text:
            key = self._row(statements.KEY, {"namespace": after.namespace, "id": after.id})
            if key is None:
                raise NotFound(f"there is no item {after.id!r} in this namespace")
            words = self._words.row(key[0], space_of(after.namespace), searchable(after.text))
            self._run(self._words.drop, [{"key": key[0]}])
            self._run(self._words.add, [words])
        if after.lineage != before.lineage:
            self._run(statements.DROP_LINKS, [{"namespace": after.namespace, "item": after.id}])
            self._run(statements.ADD_LINK, links_of(after))
        if vector is not None:
            row = vector_row(after.namespace, author.encoder, said.digest, vector, seq)
            self._run(statements.ADD_VECTOR, [row])
        if living := (after.status in RECALLABLE) - (before.status in RECALLABLE):
            self._count(after.namespace, living=living)

    def set_utility(self, item: Item, utility: Utility, principal: str, at: float) -> None:
        """New statistics of an item; its version stays, for nothing it says has changed."""
        was, now = dumps(item.utility), dumps(utility)
        row = self._log_row(
            *(item.namespace, principal, "reinforce", at, item.id, item.version),
            before=f'{{"utility":{was}}}',
            after=f'{{"utility":{now}}}',
        )
        self._run(statements.ADD_LOG, [row])
        self._run(statements.CHANGE_UTILITY, [_named(item) | {"utility": now, "seq": self._end().seq}])

    def add_episode(self, episode: Episode, query_vector: Vector | None, principal: str, at: float) -> None:
        """A new episode, with the vector its recall was asked with. Raises Denied on a task held out."""
        check_task(self._held_out(episode.namespace), episode.task_id, episode.mode)
        values = _episode_values(episode)
        after: dict[str, Json] = {
            "episode": episode.id,
            "sha256": digest_of(str(values["data"])),
            "outcome": episode.outcome,
        }
        if values["tools"] is not None:
            after["tools"] = str(values["tools"])
        seq = self.append(episode.namespace, principal, "episode", at=at, after=after)
        self._keep_tools(episode)
        self._run(statements.ADD_EPISODE, [values | {"seq": seq}])
        self._count(episode.namespace, episodes=1)
        if query_vector is not None and episode.recall is not None:
            recall = episode.recall
            self.add_vectors(
                episode.namespace, recall.encoder, {recall.query.text: query_vector}, seq, "query"
            )

    def change_episode(
        self, before: Episode, after: Episode, principal: str, at: float, op: str = "feedback"
    ) -> None:
        """An episode with later feedback, or forgotten; what it was before stays in the log."""
        self.append(after.namespace, principal, op, at=at, before=_verdict(before), after=_verdict(after))
        same = (EPISODE.c.namespace == after.namespace) & (EPISODE.c.id == after.id)
        self._keep_tools(after)
        self._connection.execute(update(EPISODE).where(same), _episode_values(after))
        if after.tools != before.tools:
            self._run(statements.DROP_TOOLSETS, [{"namespace": after.namespace}])

    def put_credit(self, namespace: str, episode: str, credit: Credit) -> None:
        """Remember what an episode added to an item."""
        self._run(_PUT_CREDIT, [asdict(credit) | {"namespace": namespace, "episode": episode}])

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

    def integrity(self) -> tuple[str, ...]:
        """What is wrong with the database, its full text, its counts, its log; empty when all is well."""
        return problems(self, self.connection)

    def _keep_tools(self, episode: Episode) -> None:
        values = toolset_values(episode)
        if values is not None:
            self._run(statements.ADD_TOOLSET, [values])

    def _item_row(self, item: Item, parts: Parts, before: str, author: Author, op: str) -> dict[str, object]:
        return self._log_row(
            *(item.namespace, author.principal, op, author.at, item.id, item.version),
            before=before,
            after=item_text(item, parts),
        )


def _holds(item: Item, at: float) -> bool:
    return item.status != "retired" and (item.valid_to is None or item.valid_to > at)


def _named(item: Item) -> dict[str, object]:
    return {"of_namespace": item.namespace, "of_id": item.id}


def _episode_values(episode: Episode) -> dict[str, object]:
    shown = toolset_values(episode)
    return {
        "id": episode.id,
        "namespace": episode.namespace,
        "task_id": episode.task_id,
        "family": episode.family,
        "outcome": episode.outcome,
        "data": dumps(replace(episode, tools=())),
        "tools": None if shown is None else shown["digest"],
        "question": None if episode.recall is None else digest_of(episode.recall.query.text),
    }


def _verdict(episode: Episode) -> Json:
    verdict: dict[str, Json] = {
        "episode": episode.id,
        "outcome": episode.outcome,
        "reward": episode.reward,
        "feedback": episode.feedback,
    }
    return verdict if episode.forgotten is None else verdict | {"forgotten": episode.forgotten}
