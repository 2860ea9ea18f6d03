"""Everything that is asked of the database, as of one moment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import select

from memory.errors import NotFound
from memory.store import statements
from memory.store.chain import first_broken
from memory.store.episodes import Credit as Credit
from memory.store.episodes import Episodes
from memory.store.past import Past, past
from memory.store.recalling import Recalling
from memory.store.rows import LOG, TALLY, log_of
from memory.types import Item, LogEntry


@dataclass(frozen=True, slots=True)
class Counts:
    """Sizes of the database."""

    items: int
    episodes: int
    log_seq: int
    last_write_at: float | None


@dataclass(frozen=True, slots=True)
class Tally:
    """How much a namespace holds."""

    items: int
    living: int
    """Items that recall may find."""
    episodes: int


class Reader(Recalling, Episodes):
    """Queries over one transaction. Not thread-safe; short-lived."""

    def log(
        self,
        namespace: str,
        *,
        after: int,
        limit: int | None,
        principal: str | None = None,
        op: str | None = None,
    ) -> tuple[LogEntry, ...]:
        """A page of a namespace's log, oldest first; of all or of one principal or op."""
        query = select(LOG).where(LOG.c.namespace == namespace, LOG.c.seq > after)
        for column, wanted in ((LOG.c.principal, principal), (LOG.c.op, op)):
            query = query if wanted is None else query.where(column == wanted)
        rows = self._connection.execute(query.order_by(LOG.c.seq).limit(limit))
        return tuple(log_of(row) for row in rows)

    def has_erased(self, namespace: str, after: int) -> bool:
        """Was something of a namespace erased after a log position?"""
        query = select(LOG.c.seq).where(LOG.c.namespace == namespace, LOG.c.seq > after, LOG.c.op == "erase")
        return self._connection.execute(query.limit(1)).first() is not None

    def history(self, namespace: str, item_id: str) -> tuple[LogEntry, ...]:
        """Everything that happened to one item. Raises NotFound."""
        query = select(LOG).where(LOG.c.namespace == namespace, LOG.c.item == item_id).order_by(LOG.c.seq)
        rows = tuple(log_of(row) for row in self._connection.execute(query))
        if not rows:
            raise NotFound(f"there is no item {item_id!r} in this namespace")
        return rows

    def items_as_of(self, namespace: str, seq: int) -> dict[str, Item]:
        """Every item as it stood at a log position, utility included; those erased since are left out."""
        return self.past(namespace, seq).items

    def past(self, namespace: str, seq: int, ids: Sequence[str] | None = None) -> Past:
        """The items, or those of the ids, as they stood at a log position, folded from the log."""
        return past(self._connection, namespace, seq, ids)

    def counts(self) -> Counts:
        """Sizes, over all namespaces."""
        held = self.tallies().values()
        items, episodes = sum(one.items for one in held), sum(one.episodes for one in held)
        last = select(LOG.c.seq, LOG.c.at).order_by(LOG.c.seq.desc()).limit(1)
        newest = self._connection.execute(last).first()
        seq, at = (newest.seq, newest.at) if newest else (0, None)
        return Counts(items, episodes, seq, at)

    def tally(self, namespace: str) -> Tally:
        """How much a namespace holds, from the counts its transactions keep."""
        row = self._row(statements.TALLIED, {"namespace": namespace})
        return Tally(*row) if row else Tally(0, 0, 0)

    def tallies(self) -> dict[str, Tally]:
        """All of them, by namespace."""
        rows = self._connection.execute(select(TALLY))
        return {row.namespace: Tally(row.items, row.living, row.episodes) for row in rows}

    def first_broken(self) -> int | None:
        """Log position of the first row that does not follow from the one before it; None when all do."""
        return first_broken(self._connection)
