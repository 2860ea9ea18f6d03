"""How far along a plan is, by the plans that worked: costs for a search over steps. Pure.

Source: Zhuang et al. 2023 (ToolChain*), arXiv 2310.13227, §3: g by longest common subsequence, h by relative
position, each blended with a second opinion. Deviations: likeness of steps is by their words; the future
cost is that of the last node, not summed over the path.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from memory.value.reads import ReadSettings, near_mean
from memory.words import words

Plan = Sequence[str]


def common_length(one: Plan, other: Plan) -> int:
    """Length of a longest common subsequence.

    >>> common_length(["a", "b", "c"], ["a", "c", "d"])
    2
    """
    above = [0] * (len(other) + 1)
    for left in one:
        row = [0]
        for place, right in enumerate(other):
            row.append(above[place] + 1 if left == right else max(above[place + 1], row[place]))
        above = row
    return above[-1]


def likeness(path: Plan, plans: Sequence[Plan]) -> float:
    """g1: how much of the path is in one of the plans that worked, in order, 0..1; 0 without plans."""
    shares = [
        common_length(path, plan) / min(len(path), len(plan)) for plan in plans if len(path) and len(plan)
    ]
    return max(shares, default=0.0)


def position(step: str, plans: Sequence[Plan]) -> float:
    """h1: mean relative place of a step in the plans that have it, 1 for the last; 0 without plans.

    A step that none has stands where the one with the most of its words does.
    """
    places: dict[str, list[float]] = {}
    for plan in plans:
        for place, other in enumerate(plan, 1):
            places.setdefault(other, []).append(place / len(plan))
    if not places:
        return 0.0
    found = places.get(step) or places[max(sorted(places), key=lambda other: _overlap(step, other))]
    return math.fsum(found) / len(found)


def blended(first: float, second: float, weight: float) -> float:
    """Cost by two values in 0..1, geometrically: `weight` is the first one's share.

    >>> blended(0.75, 0.0, 0.5)
    0.5
    """
    return math.pow(1.0 - first, weight) * math.pow(1.0 - second, 1.0 - weight)


def path_cost(path: Plan, agreed: Sequence[float], plans: Sequence[Plan], weight: float = 0.5) -> float:
    """g: the sum over the path of what each of its steps costs.

    `agreed` are the shares of proposals that named each step (self-consistency).
    """
    return math.fsum(
        blended(likeness(path[:n], plans), share, weight) for n, share in enumerate(agreed, start=1)
    )


def cost_to_go(
    near: Sequence[float], steps_left: Sequence[int], prior: float, settings: ReadSettings | None = None
) -> float:
    """Steps to the end from here, by how many were left at cosines `near`; `prior` where nothing is near.

    Source: LIET's utility, a cost in steps of the world; deviation: a kernel mean, nothing is fitted.
    """
    return near_mean(near, [float(n) for n in steps_left], prior, settings=settings or ReadSettings())


def _overlap(one: str, other: str) -> float:
    mine, theirs = set(words(one)), set(words(other))
    return len(mine & theirs) / max(1, len(mine | theirs))
