"""What an index is asked and what it answers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Protocol

from memory.entry import Entry, Found, Vector
from memory.types import ItemKind


@dataclass(frozen=True, slots=True)
class Ask:
    """One question to an index."""

    vector: Vector
    """(d,) float32, unit length."""
    text: str
    kinds: tuple[ItemKind, ...]
    reaches: frozenset[str]
    n: int
    """Candidates wanted from each ranker."""


@dataclass(frozen=True, slots=True)
class Searched:
    """The best of each ranker, in no order."""

    found: tuple[Found, ...]
    exact: bool
    """Nothing better was passed over, and the same items give the same bits again."""


class Searchable(Protocol):
    """An index at one moment."""

    def search(self, ask: Ask) -> Searched:
        """The best of each ranker for a question."""
        ...


@dataclass(frozen=True, slots=True)
class Approximate:
    """Part of an index, which may pass over what is better."""

    part: Searchable

    def search(self, ask: Ask) -> Searched:
        """The best of each ranker in it, in no order."""
        return replace(self.part.search(ask), exact=False)


class Index(Searchable, Protocol):
    """The findable items of one namespace; whoever changes it keeps questions away meanwhile."""

    def __len__(self) -> int: ...

    def put(self, entries: Iterable[Entry]) -> None:
        """Add entries, or replace those of the same id."""
        ...

    def drop(self, ids: Iterable[str]) -> None:
        """Remove entries; unknown ids are none of its business."""
        ...
