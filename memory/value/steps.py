"""What actions were worth near a state: returns of steps, values, advantages. Pure.

Sources: Zhang et al. 2024 (ReAd), arXiv 2405.14314: returns by Monte Carlo, local advantages, their gate;
deviation: the critic is a kernel mean over stored steps instead of a fitted model, and what doing nothing
would bring is the mean of what was done there.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal

import numpy as np

from memory.entry import Matrix, Vector
from memory.value.reads import ReadSettings, kernel, near_mean

GAMMA = 0.9
"""What a reward one step further away is worth."""
Verdict = Literal["ok", "error", "recovery"]


def returns(n: int, reward: float, gamma: float = GAMMA) -> tuple[float, ...]:
    """The reward of an episode as each of its `n` acts sees it, the last one in full.

    >>> returns(3, 1.0, gamma=0.5)
    (0.25, 0.5, 1.0)
    """
    return tuple(reward * gamma ** (n - 1 - place) for place in range(n))


def credited(
    n: int, reward: float, verdicts: Mapping[int, Verdict], gamma: float = GAMMA
) -> tuple[float | None, ...]:
    """What each act of an episode is to be remembered for, by place; None for those that it says nothing of.

    `verdicts` are by place, where there are any. A failure is blamed on its errors; what was right, or came
    after the first error, did not earn it. In a success an error has the reward of one more step: it was
    made good. Without an error that is known, all acts share the outcome.
    """
    worth = returns(n, reward, gamma)
    errors = {place for place, verdict in verdicts.items() if verdict == "error"}
    if not errors or reward > 0.0:
        return worth
    return tuple(worth[place] if place in errors else None for place in range(n))


@dataclass(frozen=True, slots=True)
class Act:
    """One stored act."""

    action: str
    worth: float
    """Its return."""
    episode: str = ""
    message: int = 0


@dataclass(frozen=True, slots=True)
class Step:
    """One stored act, as a state of now sees it."""

    near: float
    """Cosine of its state with this one, -1..1."""
    action: str
    worth: float
    """Its return."""
    episode: str = ""
    message: int = 0


@dataclass(frozen=True, slots=True)
class Worth:
    """What one action was worth near a state."""

    action: str
    value: float
    advantage: float
    """Over what was done there on the whole, in return."""
    edge: float
    """The same in the share of good ends: early acts have low returns, good or bad."""
    n: float
    """Near entries of the action, each by its weight; one right here counts 1."""
    steps: tuple[Step, ...] = ()
    """The entries, nearest first."""


@dataclass(frozen=True, slots=True)
class StepSettings:
    """How steps are averaged, and when an advantage is believed."""

    k: int = 16
    """Nearest entries of an action."""
    width: float = 0.2
    """The kernel's, see `ReadSettings`; wider, for no two states are the same."""
    prior_n: float = 2.0
    """How many entries right here the state's own value counts for."""
    epsilon: float = 0.1
    """An edge below minus this is a bad one; ReAd's ε, with the other sign."""
    least: float = 1.5
    """Entries, by their weight, that it takes to believe it."""

    @property
    def read(self) -> ReadSettings:
        """The same as the reads have it."""
        return ReadSettings(width=self.width, prior_n=self.prior_n)


STEPS = StepSettings()
GATE = StepSettings(width=0.3)
"""For refusing: wider, for a loss teaches about a place whatever the task was."""


def state_value(near: Sequence[Step], settings: StepSettings = STEPS, prior: float = 0.5) -> float:
    """Kernel mean of the returns of whatever was done near here; the prior where nothing was."""
    weights = [kernel(step.near, settings.width) for step in near]
    total = math.fsum(weights)
    if total == 0.0:
        return prior
    return math.fsum(weight * step.worth for weight, step in zip(weights, near, strict=True)) / total


def worths(near: Sequence[Step], settings: StepSettings = STEPS) -> tuple[Worth, ...]:
    """Every action that was done near a state, best first; without entries none.

    The value of an action is drawn towards the state's while its entries are few.
    """
    value = state_value(near, settings)
    share = state_value([replace(step, worth=_ended_well(step)) for step in near], settings)
    actions: dict[str, list[Step]] = {}
    for step in sorted(near, key=lambda step: (-step.near, step.episode, step.message)):
        actions.setdefault(step.action, []).append(step)
    found = [_worth(action, steps[: settings.k], value, share, settings) for action, steps in actions.items()]
    return tuple(sorted(found, key=lambda one: (-one.value, one.action)))


def _worth(action: str, steps: Sequence[Step], value: float, share: float, settings: StepSettings) -> Worth:
    near = [step.near for step in steps]
    good = near_mean(near, [_ended_well(step) for step in steps], share, settings=settings.read)
    own = near_mean(near, [step.worth for step in steps], value, settings=settings.read)
    n = math.fsum(kernel(one, settings.width) for one in near)
    return Worth(action, own, own - value, good - share, n, tuple(steps))


def _ended_well(step: Step) -> float:
    return float(step.worth > 0.0)


def is_bad(worth: Worth, settings: StepSettings = STEPS) -> bool:
    """Did it credibly end worse than what was done there otherwise?"""
    return worth.n >= settings.least and worth.edge < -settings.epsilon


@dataclass(frozen=True, slots=True, eq=False)
class Walked:
    """Stored acts of a family, to be asked about any state."""

    acts: tuple[Act, ...]
    states: Matrix
    """(n, d) float32, unit rows."""

    def near(self, state: Vector) -> tuple[Step, ...]:
        """All of them, as a state (d,) sees them."""
        if not self.acts:
            return ()
        near = np.asarray(self.states @ state, dtype=np.float64).tolist()
        return tuple(
            Step(one, act.action, act.worth, act.episode, act.message)
            for one, act in zip(near, self.acts, strict=True)
        )

    def worths(self, state: Vector, settings: StepSettings = STEPS) -> tuple[Worth, ...]:
        """What was done near the state, best first."""
        return worths(self.near(state), settings)


def local_advantages(values: Sequence[float]) -> tuple[float, ...]:
    """What each agent of a team adds, in the order they speak (ReAd-S).

    `values` are of the state alone, then with the first agent's action, with the first two's, and so on;
    the sum is the advantage of all together.
    """
    return tuple(after - before for before, after in pairwise(values))


def joint_advantage(value: float, waiting: float, gamma: float = GAMMA) -> float:
    """Of a joint action over doing nothing (ReAd-J): waiting leaves the state and costs one discount."""
    return value - waiting / gamma
