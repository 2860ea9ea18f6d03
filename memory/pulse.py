"""Signs that a namespace learns."""

from __future__ import annotations

from dataclasses import dataclass, field

RECENT = 2000
"""Episodes that are looked at for what was spent, the newest."""


@dataclass(frozen=True, slots=True)
class Spending:
    """Tokens of some episodes; of more than `RECENT` in the time the newest alone are counted."""

    episodes: int = 0
    work: int = 0
    """Prompts and replies of the episodes themselves."""
    learning: int = 0
    """What reflection and verification cost besides."""


@dataclass(frozen=True, slots=True)
class Pulse:
    """When a namespace last learned. Times in seconds since the epoch; None: never."""

    last_episode: float | None = None
    """The end of the newest."""
    last_promotion: float | None = None
    """A principle rose."""
    last_retirement: float | None = None
    """A principle fell, or an item was quarantined."""
    spent: Spending = field(default_factory=Spending)
