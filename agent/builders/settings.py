"""What counts as a pattern."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from memory.errors import BadInput

PatternName = Literal["rule", "order", "loop", "dead", "waste", "success"]
"""A rule that the world stated; an order of two commands that the world insists on; a command given again and
again; a command that never did anything; a visit that led nowhere; an order that pays."""
PATTERNS: tuple[PatternName, ...] = get_args(PatternName)


@dataclass(frozen=True, slots=True)
class MineSettings:
    """What is looked for in the episodes of a family, and when it counts."""

    patterns: tuple[PatternName, ...] = ("rule", "order")
    """Others give models sentences that small ones were not trained on."""
    min_support: int = 2
    """Episodes that must show a pattern; a stated rule needs one."""
    min_confidence: float = 0.8
    """Share of its occasions that must agree with it."""
    loop: int = 3
    """Times of the same command with the same answer that make a loop."""
    chance: float = 0.05
    """How often an order that pays may be found where outcomes have nothing to do with it, over all orders
    that are looked at together."""
    max_each: int = 5
    """Patterns of one name and family, the best supported; rules and orders have no limit."""
    max_facts: int = 3
    """Facts mined from one episode."""
    known: frozenset[str] = frozenset()
    """Sentences that are principles already: they are counted on, however few and often broken."""

    def __post_init__(self) -> None:
        for name in self.patterns:
            if name not in PATTERNS:
                raise BadInput(f"there is no pattern {name!r}; there are: {', '.join(PATTERNS)}")
