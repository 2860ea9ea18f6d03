"""Where things came from and where they went: the questions a cascade asks."""

from __future__ import annotations

import json
from collections.abc import Iterable

from sqlalchemy import select

from memory.store.rows import EPISODE, LINK, LOG, TOOLSET, WITH_TOOLS, episode_of
from memory.store.session import Session, batches
from memory.types import Episode

WRITTEN = ("add", "import", "merge")
"""Operations that may bring an item in."""
REWRITTEN = ("edit",)
"""Operations that may change what an item says."""


class Traces(Session):
    """Lineage by parent, and what a principal or a source left."""

    def made_from(self, namespace: str, kind: str, parents: Iterable[str]) -> dict[str, set[str]]:
        """Ids of the items that were made from these episodes, items or sources, by parent."""
        found: dict[str, set[str]] = {}
        for names in batches(parents):
            query = select(LINK.c.parent, LINK.c.item).where(
                LINK.c.namespace == namespace, LINK.c.kind == kind, LINK.c.parent.in_(names)
            )
            for parent, item in self.connection.execute(query):
                found.setdefault(parent, set()).add(item)
        return found

    def written_by(self, namespace: str, principal: str) -> tuple[set[str], set[str]]:
        """Ids of the items a principal brought in, and of those of others that they reworded."""
        query = select(LOG.c.item, LOG.c.op, LOG.c.before, LOG.c.after).where(
            LOG.c.namespace == namespace,
            LOG.c.principal == principal,
            LOG.c.item.is_not(None),
            LOG.c.op.in_((*WRITTEN, *REWRITTEN)),
        )
        brought: set[str] = set()
        reworded: set[str] = set()
        for item, op, before, after in self.connection.execute(query):
            was, now = json.loads(before), json.loads(after)
            if was is None:
                brought.add(item)
            elif (
                op in REWRITTEN
                and now is not None
                and (was["text"], was["body"]) != (now["text"], now["body"])
            ):
                reworded.add(item)
        return brought, reworded - brought

    def recorded_by(self, namespace: str, principal: str) -> set[str]:
        """Ids of the episodes that a principal recorded."""
        query = select(LOG.c.after).where(
            LOG.c.namespace == namespace, LOG.c.principal == principal, LOG.c.op == "episode"
        )
        rows = (json.loads(after) for after in self.connection.execute(query).scalars())
        return {row["episode"] for row in rows if row is not None}

    def episodes_by_id(self, namespace: str, ids: Iterable[str]) -> dict[str, Episode]:
        """Those of the episodes that exist."""
        found: dict[str, Episode] = {}
        for names in batches(ids):
            query = (
                select(EPISODE.c.data, TOOLSET.c.data)
                .select_from(WITH_TOOLS)
                .where(EPISODE.c.namespace == namespace, EPISODE.c.id.in_(names))
            )
            episodes = (episode_of(*row) for row in self.connection.execute(query))
            found.update((episode.id, episode) for episode in episodes)
        return found

    def came_from(self, namespace: str, source: str) -> set[str]:
        """Ids of the episodes of an import."""
        needle = json.dumps(source, ensure_ascii=False)
        return {id_ for id_, data in self._mentioning(namespace, needle) if data.get("source") == source}

    def shown(self, namespace: str, items: Iterable[str]) -> set[str]:
        """Ids of the episodes that had any of the items in their prompt. Reads every episode."""
        wanted = set(items)
        if not wanted:
            return set()
        return {
            id_ for id_, data in self._mentioning(namespace, "") if not wanted.isdisjoint(_in_prompt(data))
        }

    def episode_ids(self, namespace: str) -> set[str]:
        """All of them."""
        query = select(EPISODE.c.id).where(EPISODE.c.namespace == namespace)
        return set(self.connection.execute(query).scalars())

    def _mentioning(self, namespace: str, needle: str) -> Iterable[tuple[str, dict[str, object]]]:
        query = select(EPISODE.c.id, EPISODE.c.data).where(
            EPISODE.c.namespace == namespace, EPISODE.c.data.contains(needle, autoescape=True)
        )
        for id_, data in self.connection.execute(query.execution_options(yield_per=256)):
            yield id_, json.loads(data)


def _in_prompt(data: dict[str, object]) -> set[str]:
    recall = data.get("recall")
    if not isinstance(recall, dict):
        return set()
    items = {one["item"] for one in recall["items"] if one["shown"]}
    return items | {name.rpartition("@")[0] for name in recall["constitution"]}
