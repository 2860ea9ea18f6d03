"""The candidates of one recall, from one or two namespaces."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from memory.entry import RECALLABLE, Found
from memory.nouns.making import maker
from memory.types import GLOBAL, Item, Proposed

_proposed = maker(Proposed)


class Pool:
    """What searches found, with the items read from the truth. An id counts once, the first time."""

    def __init__(self) -> None:
        self.found: list[Found] = []
        self.items: dict[str, Item] = {}
        self._is_exact = True
        self._shared: set[str] = set()

    def add(
        self, namespace: str, found: Iterable[Found], items: Mapping[str, Item], *, is_exact: bool = True
    ) -> None:
        """Take in what was found in a namespace, as far as it may be recalled."""
        self._is_exact = self._is_exact and is_exact
        for one in found:
            item = items.get(one.id)
            if item is None or item.status not in RECALLABLE or one.id in self.items:
                continue
            self.found.append(one)
            self.items[one.id] = item
            if namespace == GLOBAL:
                self._shared.add(one.id)

    def proposed(self) -> tuple[Proposed, ...] | None:
        """What a record must keep; None when the same search gives the same again."""
        if self._is_exact:
            return None
        return tuple(
            _proposed(one.id, one.dense, one.lexical, one.coverage, one.id in self._shared)
            for one in self.found
        )
