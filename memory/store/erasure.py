"""Taking texts out of every table. What stays is that something was there: ids, times, authors, digests."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import and_, delete, func, select, table, text, update

from memory.codec import canonical, dumps
from memory.entry import RECALLABLE, digest_of
from memory.store import statements
from memory.store.chain import NOTHING
from memory.store.fulltext import Words
from memory.store.quotes import needles, without
from memory.store.rows import CREDIT, EPISODE, IDEMPOTENCY, ITEM, LINK, LOG, STEP, TOOLSET, VECTOR
from memory.store.session import Session, batches
from memory.types import Episode, Item

SCRUB = "scrub"
"""Set in a connection's `info`: free what the file still holds of deleted rows once this is committed."""


@dataclass(frozen=True, slots=True)
class Remains:
    """What a search still finds of erased things, by place; none of it should be above 0."""

    items: int
    full_text: int
    log: int
    vectors: int
    episodes: int
    recall: int = 0
    """Erased items among everything that recall considers when it is asked for their own words."""

    @property
    def total(self) -> int:
        """All of it."""
        return self.items + self.full_text + self.log + self.vectors + self.episodes + self.recall


class Erasure(Session):
    """Deletes rows and blanks texts, within the writer's transaction."""

    def texts(self, namespace: str, items: Iterable[str]) -> tuple[frozenset[str], frozenset[str]]:
        """What these items ever said: their texts, in all versions, and the strings of their bodies."""
        texts: set[str] = set()
        inner: set[str] = set()
        for _, before, after in self._rows_of(namespace, items):
            for data in (json.loads(before), json.loads(after)):
                if isinstance(data, dict) and "body" in data:
                    texts.add(data["text"])
                    inner.update(_strings(data["body"]))
        return frozenset(texts), frozenset(inner)

    def copies(self, namespace: str, texts: Iterable[str]) -> set[str]:
        """Ids of the items whose text is one of these, word for word."""
        found: set[str] = set()
        for digests in batches(map(digest_of, texts)):
            query = select(ITEM.c.id).where(ITEM.c.namespace == namespace, ITEM.c.digest.in_(digests))
            found |= set(self.connection.execute(query).scalars())
        return found

    def items(self, namespace: str, items: Sequence[Item], texts: frozenset[str]) -> set[int]:
        """Delete items with all that hangs on them and blank what the log says; returns the rows blanked."""
        ids = [item.id for item in items]
        rows = {seq for seq, _, _ in self._rows_of(namespace, ids)} | self._rows_saying(namespace, texts)
        words = Words(self.connection.dialect.name)
        for names in batches(ids):
            here = and_(ITEM.c.namespace == namespace, ITEM.c.id.in_(names))
            keys = self.connection.execute(select(ITEM.c.key).where(here)).scalars().all()
            self._run(words.drop, [{"key": key} for key in keys])
            self.connection.execute(delete(ITEM).where(here))
            for hanging in (LINK, CREDIT):
                there = and_(hanging.c.namespace == namespace, hanging.c.item.in_(names))
                self.connection.execute(delete(hanging).where(there))
        self._drop_answers(namespace, set(ids))
        living = sum(item.status in RECALLABLE for item in items)
        counts = {"namespace": namespace, "items": -len(items), "living": -living, "episodes": 0}
        self._run(statements.COUNT, [counts])
        self._blank(rows)
        self._drop_vectors(namespace, texts)
        return rows

    def episode(self, episode: Episode) -> set[int]:
        """Leave of an episode only that there was one; returns the log rows that were blanked."""
        empty = Episode(
            id=episode.id,
            namespace=episode.namespace,
            task_id=episode.task_id,
            task="",
            world=episode.world,
            family=episode.family,
            group=episode.group,
            messages=(),
            outcome=episode.outcome,
            forgotten=episode.forgotten,
        )
        self._put(episode.namespace, episode.id, dumps(empty), tools=None)
        self._run(statements.DROP_TOOLSETS, [{"namespace": episode.namespace}])
        self._drop_steps(episode.namespace, episode.id)
        if episode.recall is not None:
            self._drop_vectors(episode.namespace, [episode.recall.query.text])
        name = f'"episode":{json.dumps(episode.id, ensure_ascii=False)}'
        query = select(LOG.c.seq).where(
            LOG.c.namespace == episode.namespace,
            LOG.c.item.is_(None),
            LOG.c.op.in_(("episode", "feedback", "forget")),
            LOG.c.after.contains(name, autoescape=True),
        )
        rows = set(self.connection.execute(query).scalars())
        self._blank(rows)
        return rows

    def quotes(self, namespace: str, texts: Iterable[str]) -> int:
        """Put `[erased]` for the texts wherever an episode quotes them; returns in how many it did."""
        wanted = needles(texts)
        found = list(self._quoting(namespace, wanted))
        for id_, before in found:
            after = without(before, wanted)
            self._put(namespace, id_, canonical(after))
            self._drop_steps(namespace, id_)
            was, now = _question(before), _question(after)
            if was is not None and was != now:
                self._drop_vectors(namespace, [was])
        return len({id_ for id_, _ in found} | self._unquoted_tools(namespace, wanted))

    def earlier(self, namespace: str, of: str, item: str | None) -> tuple[tuple[str, ...], int] | None:
        """What an erasure took, by its mark `of` or by an item: the items, and how many rows."""
        query = select(LOG.c.item, LOG.c.after).where(LOG.c.namespace == namespace, LOG.c.op == "erase")
        taken: list[str] = []
        for name, after in self.connection.execute(query.order_by(LOG.c.seq)).all():
            if name is not None:
                taken.append(name)
                continue
            said = json.loads(after)
            if said.get("of") == of or item in taken:
                return tuple(taken), len(said["rows"])
            taken = []
        return None

    def finish(self) -> None:
        """Make the database let go of what was deleted, once this is committed."""
        if self.connection.dialect.name == "sqlite":
            self.connection.execute(text("INSERT INTO item_fts (item_fts) VALUES ('optimize')"))
        self.connection.info[SCRUB] = True

    def remains(
        self, namespace: str, items: Sequence[str], texts: frozenset[str], inner: frozenset[str]
    ) -> Remains:
        """What is still found, by looking for it."""
        digests = [digest_of(one) for one in texts]
        said = [seq for seq, before, after in self._rows_of(namespace, items) if before != after]
        words = select(func.count()).select_from(table("item_fts"))
        return Remains(
            items=self._number(ITEM, namespace, "id", items)
            + self._number(ITEM, namespace, "digest", digests),
            full_text=self._count(words) - self._count(select(func.count()).select_from(ITEM)),
            log=len({*said, *self._rows_saying(namespace, texts)}),
            vectors=self._number(VECTOR, namespace, "digest", digests),
            episodes=len(list(self._quoting(namespace, needles(texts | inner))))
            + len(self._tools_quoting(namespace, needles(texts | inner))),
        )

    def _rows_of(self, namespace: str, items: Iterable[str]) -> Iterator[tuple[int, str, str]]:
        """(seq, before, after) of the log rows that hold these items whole."""
        for names in batches(items):
            query = select(LOG.c.seq, LOG.c.before, LOG.c.after).where(
                LOG.c.namespace == namespace, LOG.c.item.in_(names), LOG.c.op != "reinforce"
            )
            for row in self.connection.execute(query):
                yield row.seq, row.before, row.after

    def _rows_saying(self, namespace: str, texts: frozenset[str]) -> set[int]:
        """Log rows in which an item, be it an earlier version of another, says one of the texts."""
        query = select(LOG.c.seq, LOG.c.before, LOG.c.after).where(
            LOG.c.namespace == namespace, LOG.c.item.is_not(None), LOG.c.op != "reinforce"
        )
        found: set[int] = set()
        for seq, *sides in self.connection.execute(query.execution_options(yield_per=1000)):
            data = [json.loads(side) for side in sides]
            if any(isinstance(one, dict) and one.get("text") in texts for one in data):
                found.add(seq)
        return found

    def _unquoted_tools(self, namespace: str, wanted: Sequence[str]) -> set[str]:
        """Tools that quote a text without it, in their place; ids of the episodes that were shown them."""
        found: set[str] = set()
        for digest, data in self._tools_quoting(namespace, wanted):
            there = and_(EPISODE.c.namespace == namespace, EPISODE.c.tools == digest)
            found |= set(self.connection.execute(select(EPISODE.c.id).where(there)).scalars())
            clean = canonical(without(json.loads(data), wanted))
            row = {"namespace": namespace, "digest": digest_of(clean), "data": clean}
            self._run(statements.ADD_TOOLSET, [row])
            self.connection.execute(update(EPISODE).where(there).values(tools=row["digest"]))
        self._run(statements.DROP_TOOLSETS, [{"namespace": namespace}])
        return found

    def _tools_quoting(self, namespace: str, wanted: Sequence[str]) -> list[tuple[str, str]]:
        """(digest, data) of the sets of tools that quote one of these."""
        escaped = _escaped(wanted)
        query = select(TOOLSET.c.digest, TOOLSET.c.data).where(TOOLSET.c.namespace == namespace)
        rows = self.connection.execute(query)
        return [(digest, data) for digest, data in rows if any(needle in data for needle in escaped)]

    def _quoting(self, namespace: str, wanted: Sequence[str]) -> Iterator[tuple[str, dict[str, Any]]]:
        escaped = _escaped(wanted)
        query = select(EPISODE.c.id, EPISODE.c.data).where(EPISODE.c.namespace == namespace)
        for id_, data in self.connection.execute(query.execution_options(yield_per=256)):
            if any(needle in data for needle in escaped):
                yield id_, json.loads(data)

    def _blank(self, rows: Iterable[int]) -> None:
        for seqs in batches(map(str, rows)):
            there = LOG.c.seq.in_([int(seq) for seq in seqs])
            self.connection.execute(update(LOG).where(there).values(before=NOTHING, after=NOTHING))

    def _put(self, namespace: str, episode: str, data: str, **others: str | None) -> None:
        there = and_(EPISODE.c.namespace == namespace, EPISODE.c.id == episode)
        self.connection.execute(update(EPISODE).where(there).values(data=data, **others))

    def _drop_steps(self, namespace: str, episode: str) -> None:
        there = and_(STEP.c.namespace == namespace, STEP.c.episode == episode)
        self.connection.execute(delete(STEP).where(there))

    def _drop_vectors(self, namespace: str, texts: Iterable[str]) -> None:
        for digests in batches(map(digest_of, texts)):
            there = and_(VECTOR.c.namespace == namespace, VECTOR.c.digest.in_(digests))
            self.connection.execute(delete(VECTOR).where(there))

    def _drop_answers(self, namespace: str, ids: set[str]) -> None:
        query = select(IDEMPOTENCY.c.key, IDEMPOTENCY.c["items"]).where(IDEMPOTENCY.c.namespace == namespace)
        keys = [key for key, items in self.connection.execute(query) if not ids.isdisjoint(json.loads(items))]
        for names in batches(keys):
            there = and_(IDEMPOTENCY.c.namespace == namespace, IDEMPOTENCY.c.key.in_(names))
            self.connection.execute(delete(IDEMPOTENCY).where(there))

    def _number(self, of: Any, namespace: str, column: str, wanted: Iterable[str]) -> int:
        return sum(
            self._count(
                select(func.count())
                .select_from(of)
                .where(of.c.namespace == namespace, of.c[column].in_(names))
            )
            for names in batches(wanted)
        )

    def _count(self, query: Any) -> int:
        return int(self.connection.execute(query).scalar_one())


def _escaped(wanted: Sequence[str]) -> list[str]:
    """As they stand in canonical JSON."""
    return [json.dumps(needle, ensure_ascii=False)[1:-1] for needle in wanted]


def _strings(data: object) -> Iterator[str]:
    if isinstance(data, str):
        yield data
    elif isinstance(data, list):
        for one in data:
            yield from _strings(one)
    elif isinstance(data, dict):
        for one in data.values():
            yield from _strings(one)


def _question(data: dict[str, Any]) -> str | None:
    recall = data.get("recall")
    return None if recall is None else str(recall["query"]["text"])
