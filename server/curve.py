"""The learning curve: how episodes went in the order they were lived, with memory and without. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, get_args

from memory.modes import USES
from memory.recall.choosing import is_withheld
from memory.types import Episode
from memory.value.means import reward_of
from memory.value.shares import wilson

Arm = Literal["memory", "control", "unshown"]
"""What an episode was shown: what memory said; nothing, because a coin held it out; nothing, because its mode
says so. Only the coin makes the first two alike in all else."""
NEWEST = 500
"""Episodes that are looked at."""


@dataclass(frozen=True, slots=True)
class Point:
    """The episodes of one arm among consecutive ones."""

    arm: Arm
    first: int
    """Number of the block's first episode, from 1, among all whose outcome is known."""
    last: int
    n: int
    """Of this arm."""
    success: float
    """Share of them that succeeded."""
    low: float
    high: float
    """Wilson's interval of that, 95 %."""
    reward: float
    """Mean, 0..1."""
    steps: float
    """Mean number of calls to the world or its tools."""


def curve(episodes: Sequence[Episode], n_blocks: int) -> tuple[Point, ...]:
    """Every arm that was there, by block; episodes come oldest first, unknown outcomes do not count."""
    told = [one for one in episodes if reward_of(one) is not None]
    n_blocks = max(1, min(n_blocks, len(told)))
    edges = [round(place * len(told) / n_blocks) for place in range(n_blocks + 1)]
    return tuple(point for begin, end in pairwise(edges) for point in _points(told, begin, end))


def arm_of(episode: Episode) -> Arm:
    """Which arm an episode is of."""
    if episode.recall is None or not USES[episode.mode].shows:
        return "unshown"
    return "control" if is_withheld(episode.recall.query) else "memory"


def _points(told: Sequence[Episode], begin: int, end: int) -> Iterator[Point]:
    for arm in get_args(Arm):
        mine = [one for one in told[begin:end] if arm_of(one) == arm]
        if not mine:
            continue
        share = wilson(sum(one.outcome == "success" for one in mine), len(mine))
        yield Point(
            arm,
            begin + 1,
            end,
            len(mine),
            share.mean,
            share.low,
            share.high,
            sum(reward_of(one) or 0.0 for one in mine) / len(mine),
            sum(one.steps for one in mine) / len(mine),
        )
