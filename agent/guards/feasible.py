"""Can this be done? A task is weighed before it is begun: what the model believes, how near ones went. Pure.

Source: KnowRL: several assessments of oneself, by agreement. Deviation: agreement rewards a steady opinion,
not a true one; here it is a prior alone, and how the nearest finished tasks went moves it, so that a model
that believes anything of itself is corrected by what it did. What `agent.planners.admitted` asks before a run
is given here as data.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from memory.value.reads import ReadSettings, kernel, near_mean


@dataclass(frozen=True, slots=True)
class FeasibleSettings:
    """How a task is weighed, and from when on it is not begun."""

    votes: int = 4
    """Times that the model is asked whether it can do it; the paper asks 8 times. 0 asks memory alone."""
    temperature: float = 0.7
    """Of these votes."""
    votes_n: float = 1.0
    """How many finished tasks right here the votes count for, once there are any."""
    k: int = 16
    """Nearest finished tasks."""
    width: float = 0.2
    """The kernel's: at a cosine of 1 - width a task counts for 1 / e."""
    recent: int = 300
    """Newest episodes that are looked through."""
    decline_below: float = 0.2
    """Probability of success under which a task is declined."""
    ask_below: float = 0.35
    """Under which somebody is asked first; where nobody answers, it is declined."""
    least: float = 2.0
    """Finished tasks, by their weight, that it takes to decline or ask: votes alone stop nothing."""
    explore: float = 0.05
    """Share of tasks that are begun all the same, or it would never be seen that they can be done by now."""


@dataclass(frozen=True, slots=True)
class Near:
    """A finished task, as the one of now sees it."""

    cosine: float
    reward: float


@dataclass(frozen=True, slots=True)
class Feasibility:
    """What is made of it."""

    p: float
    """Probability of success."""
    action: Literal["proceed", "ask", "decline"]
    votes: float | None
    """Share of yes; None where nobody was asked."""
    n: float
    """Finished tasks near it, by their weight."""


def feasible(votes: Sequence[bool], near: Sequence[Near], settings: FeasibleSettings) -> Feasibility:
    """Mean reward of the nearest tasks, the nearer the heavier, with the votes as prior.

    The votes are a Beta(1, 1) updated by them, so that even agreement is not certainty.
    """
    prior = (sum(votes) + 1.0) / (len(votes) + 2.0)
    nearest = sorted(near, key=lambda one: -one.cosine)[: settings.k]
    read = ReadSettings(width=settings.width, prior_n=settings.votes_n)
    p = near_mean([one.cosine for one in nearest], [one.reward for one in nearest], prior, settings=read)
    n = math.fsum(kernel(one.cosine, settings.width) for one in nearest)
    share = sum(votes) / len(votes) if votes else None
    return Feasibility(p, _action(p, n, settings), share, n)


def _action(p: float, n: float, settings: FeasibleSettings) -> Literal["proceed", "ask", "decline"]:
    if n < settings.least or p >= settings.ask_below:
        return "proceed"
    return "decline" if p < settings.decline_below else "ask"


def agreement(votes: Sequence[bool]) -> float:
    """Share of the votes that are with the majority, 0.5..1: what the paper rewards.

    >>> agreement([True, True, True, False])
    0.75
    """
    return max(sum(votes), len(votes) - sum(votes)) / len(votes) if votes else 0.5
