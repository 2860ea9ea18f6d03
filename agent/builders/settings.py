"""What counts as a pattern."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class MineSettings:
    """What counts as a pattern."""

    precondition: str = "{first} before you {then}."
    """How an order of two commands is put into words."""
    min_support: int = 2
    """Episodes that must show an order of commands."""
    min_confidence: float = 0.8
    """Share of attempts that must agree with it."""
    max_facts: int = 3
    """Facts mined from one episode."""
