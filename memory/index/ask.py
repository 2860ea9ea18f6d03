"""What an index is asked and what it answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from memory.entry import Found, Vector
from memory.types import ItemKind

VectorsOf = Callable[[Sequence[str]], Mapping[str, Vector]]
"""Text digests to the stored vectors (d,) that are known."""


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
