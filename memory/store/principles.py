"""Questions about the principles of a namespace: how they came to be what they are, and who knows what."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy import JSON, ColumnElement, and_, cast, func, or_, select

from memory.store.rows import EPISODE, ITEM, LOG, log_of
from memory.store.session import Session, batches
from memory.types import LogEntry


class Principles(Session):
    """What the court and the versions of a constitution are made from."""

    def arrivals(self, namespace: str) -> dict[str, int]:
        """Every principle and tool there is, whatever became of it, with its number of arrival, from 1."""
        judged = ITEM.c.kind.in_(("principle", "tool"))
        query = select(ITEM.c.id).where(ITEM.c.namespace == namespace, judged)
        ids = self.connection.execute(query.order_by(ITEM.c.key)).scalars()
        return {id_: number for number, id_ in enumerate(ids, 1)}

    def changes(self, namespace: str, marks: tuple[str, ...]) -> list[LogEntry]:
        """The rows that wrote a principle whole, and those of the operations `marks`, in log order."""
        of_principle = and_(
            ITEM.c.namespace == LOG.c.namespace, ITEM.c.id == LOG.c.item, ITEM.c.kind == "principle"
        )
        query = (
            select(LOG)
            .outerjoin(ITEM, of_principle)
            .where(LOG.c.namespace == namespace, LOG.c.op != "reinforce")
            .where(or_(ITEM.c.id.is_not(None), LOG.c.op.in_(marks)))
            .order_by(LOG.c.seq)
        )
        return [log_of(row) for row in self.connection.execute(query)]

    def lived(self, namespace: str, episodes: Iterable[str]) -> list[str]:
        """Who lived the episodes, of those that are here and may teach; one name for each."""
        found: list[str] = []
        for names in batches(episodes):
            query = select(self._told("principal"), self._told("forgotten")).where(
                EPISODE.c.namespace == namespace, EPISODE.c.id.in_(names)
            )
            rows = self.connection.execute(query)
            found += [principal for principal, forgotten in rows if forgotten is None]
        return found

    def principals(self, namespace: str, at_most: int) -> int:
        """How many principals recorded episodes here; no more than `at_most` are counted."""
        query = select(LOG.c.principal).where(LOG.c.namespace == namespace, LOG.c.op == "episode").distinct()
        return len(self.connection.execute(query.limit(at_most)).all())

    def _told(self, name: str) -> ColumnElement[Any]:
        """A field of an episode by its name, read without the rest of it."""
        if self._dialect.name == "sqlite":
            return func.json_extract(EPISODE.c.data, f"$.{name}")
        return func.json_extract_path_text(cast(EPISODE.c.data, JSON), name)
