"""Read policies: what is known of an item, as one number to rank it by, and drawing by such numbers. Pure.

Source: Zhou et al. 2025 (Memento), arXiv 2508.16153: cosine Eq. 13, episodic control Eq. 9, soft values
Eq. 8, softmax read Eq. 7. Deviations: the kernel, which the paper leaves open, is exponential in the cosine;
values are drawn towards the family's while near entries are few; the temperature stands inside the
exponential too, as Eqs. 4 and 7 need and Eq. 8 omits.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from memory.entry import Vector
from memory.errors import BadInput
from memory.nouns.making import maker
from memory.types import ReadName, Utility
from memory.value.means import PRIOR_N, shrunken

UNSEEN = -1.0
"""Cosine of what was found by its words alone."""


@dataclass(frozen=True, slots=True)
class Memo:
    """One episode that had the item in view, as a question of now sees it."""

    near: float
    """Cosine of its question with this one, -1..1."""
    reward: float
    centre: float = 0.5
    """Reward that was expected before the episode."""
    shown: bool = True
    propensity: float = 1.0
    """Of being shown; 1 where no coin decided."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What a policy may know of a candidate."""

    utility: Utility
    cosine: float | None = None
    """With the question; None where it was found by its words alone."""
    memos: tuple[Memo, ...] = ()
    prior: float = 0.5
    """Reward of its family: what an item without a past is taken for."""
    lift: float = 0.0
    """What showing items of its family adds."""
    question: Vector | None = None
    vector: Vector | None = None


Critic = Callable[[Seen], float]
"""A fitted estimate of the reward, 0..1; see `memory.value.neural`."""


@dataclass(frozen=True, slots=True)
class ReadSettings:
    """Which policy reads, and its constants. How much the value counts beside similarity is
    `RecallSettings.utility_weight`; the policies as published take 1, MemRL's mix one half.
    """

    policy: ReadName = "per_case"
    alpha: float = 0.0
    """Temperature of drawing, in the unit of the total; 0 takes the best, which changes nothing."""
    width: float = 0.1
    """The kernel's τ: at a cosine of 1 - τ an entry counts for 1 / e."""
    prior_n: float = PRIOR_N
    """How many entries right here the family's value counts for."""
    memos: int = 64
    """Entries of an item that are read, the newest."""
    critic: Critic | None = None
    """What policy `neural` asks."""


Read = Callable[[Seen, ReadSettings], float]


def _cosine(seen: Seen, _: ReadSettings) -> float:
    """Similarity and nothing else."""
    return UNSEEN if seen.cosine is None else seen.cosine


def _per_case(seen: Seen, _: ReadSettings) -> float:
    """The item's running value, whatever was asked: Zhang et al. 2026 (MemRL), arXiv 2601.03192."""
    return shrunken(seen.utility, seen.prior)


def _episodic(seen: Seen, settings: ReadSettings) -> float:
    """Mean reward of the episodes that saw it, the nearer the question the heavier."""
    shown = [memo for memo in seen.memos if memo.shown]
    return near_mean(
        [memo.near for memo in shown], [memo.reward for memo in shown], seen.prior, settings=settings
    )


def _lift(seen: Seen, settings: ReadSettings) -> float:
    """What showing it added near this question, by the episodes in which a coin decided.

    Without coins it is the family's for every item, which decides nothing.
    """
    tossed = [memo for memo in seen.memos if 0.0 < memo.propensity < 1.0]
    added = [
        (memo.reward - memo.centre)
        * (1.0 / memo.propensity if memo.shown else -1.0 / (1.0 - memo.propensity))
        for memo in tossed
    ]
    return near_mean([memo.near for memo in tossed], added, seen.lift, settings=settings)


def _neural(seen: Seen, settings: ReadSettings) -> float:
    if settings.critic is None:
        raise BadInput("policy 'neural' has no critic: fit one with `python -m distill.critic` and load it")
    return settings.critic(seen)


READS: Mapping[ReadName, Read] = {
    "cosine": _cosine,
    "per_case": _per_case,
    "episodic": _episodic,
    "lift": _lift,
    "neural": _neural,
}
"""By name; each gives one finite number, whatever the order of the memos."""
NEEDS_MEMOS: frozenset[ReadName] = frozenset({"episodic", "lift", "neural"})
"""Policies that look at single episodes; for the others none are fetched."""


def kernel(near: float, width: float) -> float:
    """Weight of an entry at this cosine, in (0, 1].

    >>> kernel(1.0, 0.1)
    1.0
    """
    return math.exp((min(near, 1.0) - 1.0) / width)


def near_mean(
    near: Sequence[float], values: Sequence[float], prior: float, *, settings: ReadSettings
) -> float:
    """Kernel mean of `values`, at cosines `near`, with the prior as `prior_n` entries right here."""
    weights = [kernel(one, settings.width) for one in near]
    total = math.fsum(weights) + settings.prior_n
    if total == 0.0:
        return prior
    own = math.fsum(weight * value for weight, value in zip(weights, values, strict=True))
    return (own + settings.prior_n * prior) / total


def soft_value(values: Sequence[float], alpha: float) -> float:
    """α log Σ exp(Q / α): what a state is worth under the softmax read; the best value for α = 0.

    >>> soft_value([0.2, 0.7], 0.0)
    0.7
    """
    best = max(values)
    if alpha == 0.0:
        return best
    return best + alpha * math.log(math.fsum(math.exp((value - best) / alpha) for value in values))


@dataclass(frozen=True, slots=True)
class Pick:
    """One draw of several, without repetition."""

    place: int
    """Of the value it drew."""
    key: float
    """The value with its noise: what the draws are sorted by."""
    chance: float
    """Plackett-Luce: probability that, of what was left, it was the one drawn."""


_pick = maker(Pick)


def drawn(values: Sequence[float], alpha: float, uniforms: Sequence[float]) -> list[Pick]:
    """All values in the order in which the softmax of Q / α draws them; any first k are a draw of k.

    `uniforms` in [0, 1) are the luck of each. With α = 0 the best is first and every chance is 1.

    Source: Gumbel-top-k, Kool et al. 2019, arXiv 1903.06059, §2; in the unit of the values.
    """
    if alpha == 0.0:
        order = sorted(range(len(values)), key=lambda place: -values[place])
        return [_pick(place, values[place], 1.0) for place in order]
    keys = [value + alpha * _gumbel(luck) for value, luck in zip(values, uniforms, strict=True)]
    order = sorted(range(len(values)), key=lambda place: -keys[place])
    picks: list[Pick] = []
    left = -math.inf
    """Logarithm of the sum of exp(Q / α) from the last draw to this one."""
    for place in reversed(order):
        logit = values[place] / alpha
        high = max(left, logit)
        left = high + math.log(math.exp(left - high) + math.exp(logit - high))
        picks.append(Pick(place, keys[place], math.exp(logit - left)))
    return picks[::-1]


def _gumbel(luck: float) -> float:
    return -math.log(-math.log(min(max(luck, 1e-300), 1.0 - 2.0**-53)))
