"""What consolidation may propose, and from where on. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from typing import Literal

from memory.types import Draft, Item

Action = Literal["merge", "induce", "archive"]


@dataclass(frozen=True, slots=True)
class ConsolidationSettings:
    """When things are alike, and when they are of no use."""

    same_cosine: float = 0.95
    """From which two texts of the same numbers are near-duplicates."""
    same_words: float = 0.8
    """Share of words that their bodies must have in common."""
    alike_cosine: float = 0.3
    """From which the tasks of two cases are of one sort."""
    alike_plan: float = 0.7
    """Share of steps in common from which two plans follow one pattern."""
    min_cases: int = 3
    """Cases that a procedure needs."""
    min_steps: int = 2
    """Steps that they must have in common."""
    min_uses: int = 8
    """Uses from which a low value is no accident."""
    low_value: float = 0.5
    """Share of the usual reward of its kind below which an item that was used enough is archived."""
    unused_days: float = 180.0
    """Days without use or change after which experience is archived."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """One thing to be done, and what it rests on."""

    action: Action
    items: tuple[str, ...]
    versions: tuple[int, ...]
    """Of the items; the proposal falls when one of them has changed."""
    reason: str
    draft: Draft | None = None
    made: str | None = None
    """Id of the item that is made; the same whenever the same is proposed."""


def id_of(action: Action, parts: Iterable[Item]) -> str:
    """Id of what is made of these items as they are; something else once one of them has changed."""
    named = ",".join(sorted(f"{part.id}@{part.version}" for part in parts))
    return sha256(f"{action} {named}".encode()).hexdigest()[:32]
