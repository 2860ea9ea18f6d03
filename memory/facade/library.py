"""What can be looked up: items, history, episodes, the log, the constitution."""

from __future__ import annotations

from collections.abc import Callable

from memory.constitution.select import select
from memory.errors import BadInput
from memory.store.engine import Store
from memory.types import GLOBAL, Constitution, Episode, Item, ItemKind, LogEntry, Scope, Status
from memory.writing.admission import check_name


class Library:
    """The reading half of `Memory`."""

    def __init__(self, store: Store, clock: Callable[[], float]) -> None:
        self._store = store
        self._clock = clock

    def namespaces(self) -> tuple[str, ...]:
        """Every namespace that holds an item."""
        with self._store.read() as reader:
            return reader.namespaces()

    def get(self, namespace: str, item_id: str) -> Item:
        """One item, the namespace's own or of scope `global`. Raises NotFound, also for another's id."""
        with self._store.read() as reader:
            found = reader.find(namespace, item_id)
            return found or reader.find(GLOBAL, item_id) or reader.item(namespace, item_id)

    def items(
        self,
        namespace: str,
        *,
        kind: ItemKind | None = None,
        status: Status | None = None,
        family: str | None = None,
        words: str | None = None,
        scope: Scope | None = None,
        limit: int = 100,
        after: str | None = None,
        newest: bool = False,
    ) -> tuple[Item, ...]:
        """A page of items from the one after the id `after`, oldest first or `newest` first.

        `words` must all occur in the text.
        """
        _check_limit(limit)
        with self._store.read() as reader:
            return reader.items(
                namespace,
                kind=kind,
                status=status,
                family=family,
                words=words,
                limit=limit,
                after=after,
                scope=scope,
                newest=newest,
            )

    def history(self, namespace: str, item_id: str) -> tuple[LogEntry, ...]:
        """Everything that happened to an item, oldest first. Raises NotFound."""
        with self._store.read() as reader:
            return reader.history(namespace, item_id)

    def episode(self, namespace: str, episode_id: str) -> Episode:
        """One episode. Raises NotFound, also for another namespace's id."""
        with self._store.read() as reader:
            return reader.episode(namespace, episode_id)

    def episodes(
        self,
        namespace: str,
        *,
        limit: int = 100,
        after: str | None = None,
        task_id: str | None = None,
        family: str | None = None,
        newest: bool = False,
    ) -> tuple[Episode, ...]:
        """A page of episodes from the one after the id `after`, oldest first or `newest` first."""
        _check_limit(limit)
        with self._store.read() as reader:
            return reader.episodes(
                namespace, limit=limit, after=after, task_id=task_id, family=family, newest=newest
            )

    def log(
        self,
        namespace: str,
        *,
        after: int = 0,
        limit: int = 1000,
        principal: str | None = None,
        op: str | None = None,
    ) -> tuple[LogEntry, ...]:
        """A page of the namespace's log, oldest first, from the entry after seq `after`; of all or of one
        principal or op.
        """
        _check_limit(limit)
        with self._store.read() as reader:
            return reader.log(namespace, after=after, limit=limit, principal=principal, op=op)

    def constitution(
        self,
        namespace: str,
        family: str | None,
        *,
        token_budget: int,
        count_tokens: Callable[[str], int],
        every_family: bool = False,
    ) -> Constitution:
        """The principles in force (active and on trial) for a family, or for all, within a budget.

        Those of scope `global` hold in every namespace.
        """
        check_name("namespace", namespace)
        with self._store.read() as reader:
            spaces = {namespace, GLOBAL}
            principles = [item for space in sorted(spaces) for item in reader.principles(space)]
        return select(
            principles,
            namespace=namespace,
            family=family,
            at=self._clock(),
            token_budget=token_budget,
            count_tokens=count_tokens,
            every_family=every_family,
        )


def _check_limit(limit: int) -> None:
    if limit < 1:
        raise BadInput(f"the limit of a page is {limit}, at least 1 is needed")
