"""How a namespace stands, as numbers: whether it still learns, and what it holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from memory.pulse import Spending
from memory.types import ItemKind, Mode, Status
from memory.writing.limits import Usage
from server.canary import CanaryReport


@dataclass(frozen=True, slots=True)
class Learning:
    """Whether a namespace still learns. Times in seconds since the epoch; null: never, as far as is known."""

    namespace: str
    mode: Mode
    """What memory does for a request that does not say."""
    last_episode_at: float | None
    last_reflection_at: float | None
    """When an episode was last learned from."""
    last_promotion_at: float | None
    last_retirement_at: float | None
    """When a principle last fell or an item was quarantined."""
    last_distillation_at: float | None
    waiting: int
    """Episodes that wait to be learned from, or are being."""
    oldest_waiting_s: float | None
    """How long the first of them has waited."""
    spent_today: Spending
    """Tokens of the last 24 hours."""
    tokens_day: int | None
    """What learning may spend of them; null is no limit."""
    is_spent: bool
    """Is that used up? Learning goes on by counters alone."""
    canary: CanaryReport | None
    """The newest lesson that was sent through the whole server; not of this namespace."""


@dataclass(frozen=True, slots=True)
class Holding:
    """What a namespace holds."""

    usage: Usage
    sizes: Mapping[tuple[ItemKind, Status], int]
    """Items by kind and status; what there is none of is left out."""
    adapters: Mapping[str, int]
    """Adapters that may serve, by the model they were made for."""
