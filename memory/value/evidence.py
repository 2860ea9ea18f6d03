"""How sure a difference is, whenever one looks: evidence by betting, and intervals from it. Pure.

A coin decided whether an episode saw a thing. The episode's reward, weighed by the coin, is an unbiased
estimate of what the thing adds; a gambler who bets on these estimates at fair odds gets rich only if it adds
something. The wealth is the evidence (an e-value): whoever stops when it pleases them is wrong with
probability alpha at most, if they ask for 1 / alpha.

Sources: Waudby-Smith & Ramdas 2020, arXiv 2010.09686 (bets, mixtures); Waudby-Smith et al. 2022, arXiv
2210.10768 (off-policy). Deviations: rewards are centred by what was expected before the episode, which leaves
the mean as it is and takes variance off; stakes are bounded by the worst loss of that side alone.

What holds: episodes in order, coins independent of all before, centres known before. The evidence is against
`on no episode does it help`; the interval is for a difference that stays, under rewards that may drift.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

N_BETS = 8
BOLDEST = 0.95
"""Largest share of the wealth that one episode may cost."""
N_CELLS = 200
"""Of equal width, over the differences -1..1."""


@dataclass(frozen=True, slots=True)
class Estimates:
    """One estimate of the difference per episode, in order; arrays (..., n) with streams in front."""

    values: Floats
    low: Floats
    """How far below zero each could have been, whatever its episode had brought."""
    high: Floats
    """How far above."""


def estimates(
    rewards: ArrayLike,
    centres: ArrayLike,
    seen: ArrayLike,
    chances: ArrayLike,
    others: ArrayLike | None = None,
) -> Estimates:
    """φ = (R - b) (1[seen] / p - 1[not seen] / (1 - p)), whose mean is the difference whatever b is.

    `rewards` and `centres` are in 0..1, `chances` are of being seen, in (0, 1). With `others`, the chances of
    the one alternative to compare with, `seen` is 1, -1 for the alternative, or 0 for neither.
    """
    r, b, p = (np.asarray(one, dtype=np.float64) for one in (rewards, centres, chances))
    q = 1.0 - p if others is None else np.asarray(others, dtype=np.float64)
    side = np.asarray(seen, dtype=np.float64)
    if others is None:
        side = 2.0 * side - 1.0
    values = (r - b) * (np.maximum(side, 0.0) / p - np.maximum(-side, 0.0) / q)
    return Estimates(values, np.maximum(b / p, (1.0 - b) / q), np.maximum((1.0 - b) / p, b / q))


def log_evidence(found: Estimates, least: ArrayLike = 0.0) -> Floats:
    """Logarithm, after each episode, of the evidence that the difference is more than `least`: (..., n).

    The mean over N_BETS gamblers, each of whom stakes a fixed share of the most that may be staked.
    """
    least = np.asarray(least, dtype=np.float64)
    stake = BOLDEST / (found.low + np.abs(least))
    gain = stake * (found.values - least)
    total = np.full(np.shape(gain), -np.inf)
    for bet in range(1, N_BETS + 1):
        np.logaddexp(total, np.cumsum(np.log1p(bet / N_BETS * gain), axis=-1), out=total)
    return total - math.log(N_BETS)


def mirrored(found: Estimates) -> Estimates:
    """The same for the difference the other way round: evidence of harm."""
    return Estimates(-found.values, found.high, found.low)


def intervals(found: Estimates, alpha: float = 0.05) -> tuple[Floats, Floats]:
    """Ends of the interval after each episode, (n,) each: with probability 1 - alpha all hold at once.

    Of the cells of -1..1 those are left that neither side has evidence 2 / alpha against; a cell falls as a
    whole or not at all, so that no difference between grid points is lost.
    """
    edges = np.linspace(-1.0, 1.0, N_CELLS + 1)[:, None]  # (cells + 1, 1)
    bar = math.log(2.0 / alpha)
    above = log_evidence(found, edges[1:]) >= bar  # (cells, n)
    below = log_evidence(mirrored(found), -edges[:-1]) >= bar
    left = ~(above | below)
    # Nothing left happens where rewards drift in a way that no one difference explains: claim nothing then.
    left |= ~left.any(axis=0)
    first, last = left.argmax(axis=0), N_CELLS - 1 - left[::-1].argmax(axis=0)
    return edges[first, 0], edges[last + 1, 0]


def spend(alpha: float, arrival: int) -> float:
    """What the `arrival`-th of any number of tests (from 1) may use, for all to be wrong with alpha at most.

    >>> spend(0.06, 1), spend(0.06, 2)
    (0.03, 0.01)
    """
    return alpha / (arrival * (arrival + 1))
