"""What became of what: episodes by the item they had in view, and steps by the state they were taken in."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from sqlalchemy import delete, func, insert, select

from memory.entry import Matrix, Vector, from_blob, to_blob
from memory.store.episodes import Credit
from memory.store.rows import CREDIT, EPISODE, STEP, VECTOR
from memory.store.session import Session, batches
from memory.value.steps import Act

NEWEST = 4096
"""Steps of a family that are read; older ones have been overtaken."""


class Lived(Session):
    """Credit with the questions it was earned at, and steps with their returns."""

    def memos(
        self, namespace: str, encoder: str, items: Sequence[str], limit: int
    ) -> dict[str, list[tuple[Credit, Vector]]]:
        """By item, the newest `limit` of what episodes gave to it, each with the vector of its question.

        Episodes that asked nothing, or with another encoder, are left out.
        """
        newest = (
            func.row_number()
            .over(partition_by=CREDIT.c.item, order_by=(CREDIT.c.seq.desc(), CREDIT.c.episode))
            .label("place")
        )
        wanted = ("item", "shown", "reward", "propensity", "centre")
        found: dict[str, list[tuple[Credit, Vector]]] = {}
        for names in batches(items):
            inner = (
                select(*(CREDIT.c[name] for name in wanted), VECTOR.c.data, newest)
                .select_from(CREDIT)
                .join(
                    EPISODE,
                    (EPISODE.c.namespace == CREDIT.c.namespace) & (EPISODE.c.id == CREDIT.c.episode),
                )
                .join(
                    VECTOR,
                    (VECTOR.c.namespace == CREDIT.c.namespace)
                    & (VECTOR.c.encoder == encoder)
                    & (VECTOR.c.purpose == "query")
                    & (VECTOR.c.digest == EPISODE.c.question),
                )
                .where(CREDIT.c.namespace == namespace, CREDIT.c.item.in_(names))
                .subquery()
            )
            query = select(inner).where(inner.c.place <= limit).order_by(inner.c.item, inner.c.place)
            for row in self.connection.execute(query):
                credit = Credit(
                    row.item, bool(row.shown), 0, row.reward, propensity=row.propensity, centre=row.centre
                )
                found.setdefault(row.item, []).append((credit, from_blob(row.data)))
        return found

    def keep_steps(
        self, namespace: str, episode: str, family: str, acts: Sequence[Act], states: Matrix, seq: int
    ) -> None:
        """Put these acts, with the states (n, d) they were done in, in the place of what was kept of them."""
        here = (STEP.c.namespace == namespace) & (STEP.c.episode == episode)
        self.connection.execute(delete(STEP).where(here))
        rows = [
            {
                "namespace": namespace,
                "episode": episode,
                "message": act.message,
                "family": family,
                "action": act.action,
                "worth": act.worth,
                "state": to_blob(state),
                "seq": seq,
            }
            for act, state in zip(acts, states, strict=True)
        ]
        if rows:
            self.connection.execute(insert(STEP), rows)

    def steps(self, namespace: str, family: str, limit: int = NEWEST) -> tuple[tuple[Act, ...], Matrix]:
        """The newest acts of a family, and the states (n, d) they were done in."""
        query = (
            select(STEP)
            .where(STEP.c.namespace == namespace, STEP.c.family == family)
            .order_by(STEP.c.seq.desc(), STEP.c.episode, STEP.c.message)
            .limit(limit)
        )
        rows = self.connection.execute(query).all()
        acts = tuple(Act(row.action, row.worth, row.episode, row.message) for row in rows)
        states = [from_blob(row.state) for row in rows]
        return acts, np.stack(states) if states else np.zeros((0, 1), dtype=np.float32)
