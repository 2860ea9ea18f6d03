"""Questions about episodes, what they gave to items, and requests that were answered."""

from __future__ import annotations

import json
from dataclasses import dataclass

from sqlalchemy import select

from memory.errors import NotFound
from memory.store import statements
from memory.store.rows import CREDIT, EPISODE, IDEMPOTENCY, episode_of
from memory.store.session import Session
from memory.types import Episode


@dataclass(frozen=True, slots=True)
class Credit:
    """What an episode added to an item's utility."""

    item: str
    shown: bool
    place: int
    reward: float


class Episodes(Session):
    """Episodes whole, with what hangs on them."""

    def episode(self, namespace: str, episode_id: str) -> Episode:
        """One episode. Raises NotFound, also for another namespace's id."""
        found = self.find_episode(namespace, episode_id)
        if found is None:
            raise NotFound(f"there is no episode {episode_id!r} in this namespace")
        return found

    def find_episode(self, namespace: str, episode_id: str) -> Episode | None:
        """One episode, or None."""
        row = self._row(statements.ONE_EPISODE, {"namespace": namespace, "id": episode_id})
        return None if row is None else episode_of(row[0])

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
        return tuple(episode_of(row.data) for row in self._connection.execute(query))

    def attempts(self, namespace: str, task_id: str, until: int) -> frozenset[str]:
        """Ids of the episodes of one task recorded up to a log position."""
        asked = {"namespace": namespace, "task": task_id, "until": until}
        return frozenset(id_ for (id_,) in self._rows(statements.ATTEMPTS, asked))

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
