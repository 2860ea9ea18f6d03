"""What a path of calls costs and what is left to pay, for A*; pure.

Source: Zhuang et al. 2023 (ToolChain*), arXiv 2310.13227, §3: g by plans that worked and by how many
proposals agree, h by the place of a call in those plans and by an imagined rest. Deviations: calls are one
when they are equal, not by entailment; h is the last node's, not summed; where nothing is left to do h is 0.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from memory.value.plans import Plan, blended, path_cost, position


@dataclass(frozen=True, slots=True)
class Weights:
    """How much each first opinion, that of memory, counts beside the second, 0..1."""

    alpha: float = 0.5
    """Of what was paid: plans that worked against agreement of the proposals."""
    beta: float = 0.5
    """Of what is left: the place in plans that worked against the imagined rest."""


@dataclass(frozen=True, slots=True)
class Hop:
    """One step that is proposed."""

    step: str
    share: float = 1.0
    """Of the proposals, 0..1: self-consistency."""
    imagined: float = 0.0
    """Share of the imagined whole that is done with it, 0..1; 0 where nothing was imagined."""
    is_end: bool = False
    """Nothing is to be done after it."""


def cost(path: Sequence[Hop], plans: Sequence[Plan], weights: Weights) -> float:
    """What a path costs to its end, f = g + h; 0 or more."""
    if not path:
        return 0.0
    spent = path_cost([hop.step for hop in path], [hop.share for hop in path], plans, weights.alpha)
    last = path[-1]
    if last.is_end:
        return spent
    return spent + blended(position(last.step, plans), last.imagined, weights.beta)


def hops(proposed: Sequence[str], *, depth: int, rest: Sequence[str] = (), end: str = "") -> tuple[Hop, ...]:
    """The different steps among proposals, the first named first, `depth` steps from the start.

    `rest` is what was imagined to be left, its first step one of these perhaps; `end` is the step that ends.

    >>> [(hop.step, hop.share) for hop in hops(["a", "b", "a"], depth=0)]
    [('a', 0.6666666666666666), ('b', 0.3333333333333333)]
    """
    named = Counter(proposed)

    def imagined(step: str) -> float:
        if not rest:
            return 0.0
        left = len(rest) - (step == rest[0])
        return (depth + 1) / (depth + 1 + left)

    return tuple(Hop(step, n / len(proposed), imagined(step), step == end) for step, n in named.items())
