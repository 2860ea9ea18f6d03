"""Questions about episodes, what they gave to items, and requests that were answered."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, select

from memory.errors import NotFound
from memory.store import statements
from memory.store.rows import CREDIT, EPISODE, IDEMPOTENCY, TOOLSET, WITH_TOOLS, episode_of
from memory.store.session import Session
from memory.types import Episode
from memory.value.lift import Toss


@dataclass(frozen=True, slots=True)
class Credit:
    """What an episode added to an item's utility."""

    item: str
    shown: bool
    place: int
    """Which update of the item's running value it was, from 1; 0 for a held-out item."""
    reward: float
    propensity: float = 1.0
    """With which it was shown, in (0, 1]; 1 where no coin decided."""
    centre: float = 0.5
    """Reward that was expected before the episode."""
    seq: int = 0
    """Log position of the episode: what came before it."""
    test: int = 0
    """Which test of the item it belongs to, see `Lift`."""


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
        return None if row is None else episode_of(*row)

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
        query = (
            select(EPISODE.c.data, TOOLSET.c.data)
            .select_from(WITH_TOOLS)
            .where(EPISODE.c.namespace == namespace)
            .order_by(order)
            .limit(limit)
        )
        for column, wanted in ((EPISODE.c.task_id, task_id), (EPISODE.c.family, family)):
            if wanted is not None:
                query = query.where(column == wanted)
        if after is not None:
            key = self._key(EPISODE, namespace, after)
            query = query.where(EPISODE.c.key < key if newest else EPISODE.c.key > key)
        return tuple(episode_of(*row) for row in self._connection.execute(query))

    def attempts(self, namespace: str, task_id: str, until: int) -> frozenset[str]:
        """Ids of the episodes of one task recorded up to a log position."""
        asked = {"namespace": namespace, "task": task_id, "until": until}
        return frozenset(id_ for (id_,) in self._rows(statements.ATTEMPTS, asked))

    def credits(self, namespace: str, episode_id: str) -> dict[str, Credit]:
        """What an episode has added so far, by item."""
        query = select(CREDIT).where(CREDIT.c.namespace == namespace, CREDIT.c.episode == episode_id)
        return {row.item: _credit(row) for row in self._connection.execute(query)}

    def tosses(self, namespace: str, item_id: str, test: int, limit: int) -> list[Toss]:
        """What episodes whose coin decided about an item gave to it in one of its tests, oldest first."""
        asked = {"namespace": namespace, "item": item_id, "test": test, "limit": limit}
        return [Toss(bool(shown), *known) for shown, *known in self._rows(statements.TOSSES, asked)]

    def tossed(self, namespace: str) -> list[str]:
        """Ids of the items about which a coin has decided in an episode that counts."""
        mine = (CREDIT.c.namespace == namespace) & (CREDIT.c.propensity < 1.0)
        return sorted(self._connection.execute(select(CREDIT.c.item).where(mine).distinct()).scalars())

    def position(self, namespace: str, episode_id: str) -> int | None:
        """Log position at which an episode was recorded; None where it was not."""
        query = select(EPISODE.c.seq).where(EPISODE.c.namespace == namespace, EPISODE.c.id == episode_id)
        return self._connection.execute(query).scalar()

    def rewards(self, namespace: str, family: str, before: int, limit: int) -> list[float]:
        """What the newest of a family's episodes gave to items, one each, of those before a log position."""
        those = (EPISODE.c.namespace == namespace) & (EPISODE.c.family == family) & (EPISODE.c.seq < before)
        newest = select(EPISODE.c.id).where(those).order_by(EPISODE.c.key.desc()).limit(limit).subquery()
        query = (
            select(func.min(CREDIT.c.reward))
            .join(newest, newest.c.id == CREDIT.c.episode)
            .where(CREDIT.c.namespace == namespace)
            .group_by(CREDIT.c.episode)
            .order_by(CREDIT.c.episode)
        )
        return list(self._connection.execute(query).scalars())

    def answered(self, namespace: str, key: str) -> tuple[str, tuple[str, ...]] | None:
        """Request hash and item ids of an idempotency key."""
        query = select(IDEMPOTENCY).where(IDEMPOTENCY.c.namespace == namespace, IDEMPOTENCY.c.key == key)
        row = self._connection.execute(query).first()
        return None if row is None else (row.request, tuple(json.loads(row.items)))


def _credit(row: Any) -> Credit:
    known = (row.item, bool(row.shown), row.place, row.reward)
    return Credit(*known, row.propensity, row.centre, row.seq, row.test)
