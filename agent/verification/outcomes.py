"""Who is believed about how an episode went. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from memory.types import Outcome, Source, Usage

RANK: tuple[Source, ...] = ("world", "rule", "human", "verifier", "judge")
"""The most believed first."""
Dimension = Literal["authenticity", "process", "deliverable", "integrity"]


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that does not hold."""

    dimension: Dimension
    reason: str


@dataclass(frozen=True, slots=True)
class Ruling:
    """What one source says of an episode."""

    outcome: Outcome
    by: Source
    findings: tuple[Finding, ...] = ()
    model: str = ""
    """Who checked, where a model did."""
    usage: Usage = field(default_factory=Usage)
    disputed: tuple[Source, ...] = ()
    """Sources that were overruled, or that made it `unknown` by disagreeing."""


def settle(rulings: Sequence[Ruling]) -> Ruling | None:
    """The word of the most believed source with an opinion; None where nobody has one.

    Two of the same rank that disagree, or a verifier and a judge, leave it `unknown`.
    """
    voiced = [one for one in rulings if one.outcome in ("success", "failure")]
    if not voiced:
        return None
    best = min(voiced, key=lambda one: RANK.index(one.by))
    equals = {"verifier", "judge"} if best.by == "verifier" else {best.by}
    dissent = [one for one in voiced if one.outcome != best.outcome]
    split = any(one.by in equals for one in dissent)
    return Ruling(
        "unknown" if split else best.outcome,
        best.by,
        best.findings,
        best.model,
        sum((one.usage for one in rulings), start=Usage()),
        tuple(sorted({one.by for one in dissent}, key=RANK.index)),
    )
