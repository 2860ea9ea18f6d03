"""Who is believed about how an episode went: one order for verifiers, loops and feedback. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import get_args

from memory.types import Outcome, Source

RANK: tuple[Source, ...] = get_args(Source)
"""The most believed first."""


@dataclass(frozen=True, slots=True)
class Said:
    """What one source says."""

    outcome: Outcome
    by: Source


@dataclass(frozen=True, slots=True)
class Settled:
    """What several sources come to."""

    outcome: Outcome
    by: Source
    disputed: tuple[Source, ...] = ()
    """Sources that were overruled, or that made it `unknown` by disagreeing."""


def outranks(one: Source | None, other: Source) -> bool:
    """Is one believed before the other? Nobody is not.

    >>> outranks("world", "human"), outranks("verifier", "human"), outranks(None, "judge")
    (True, False, False)
    """
    return one is not None and RANK.index(one) < RANK.index(other)


def settle(words: Sequence[Said]) -> Settled | None:
    """The word of the most believed source with an opinion; None where nobody has one.

    Two of the same rank that disagree, or a verifier and a judge, leave it `unknown`.
    """
    voiced = [one for one in words if one.outcome in ("success", "failure")]
    if not voiced:
        return None
    best = min(voiced, key=lambda one: RANK.index(one.by))
    equals = {"verifier", "judge"} if best.by == "verifier" else {best.by}
    dissent = [one for one in voiced if one.outcome != best.outcome]
    split = any(one.by in equals for one in dissent)
    return Settled(
        "unknown" if split else best.outcome,
        best.by,
        tuple(sorted({one.by for one in dissent}, key=RANK.index)),
    )
