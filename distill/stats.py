"""Intervals and paired comparisons. Pure functions; randomness is a seed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

_Z = 1.959963984540054
_DRAWS = 4000


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate with its 95 % interval."""

    mean: float
    low: float
    high: float


def wilson(successes: int, n: int) -> Interval:
    """A proportion with Wilson's score interval; unknown (0 to 1) without trials.

    Source: Wilson 1927, Probable inference, the law of succession, and statistical inference.

    >>> round(wilson(8, 10).low, 3), round(wilson(8, 10).high, 3)
    (0.49, 0.943)
    """
    if n == 0:
        return Interval(0.0, 0.0, 1.0)
    share, z2 = successes / n, _Z * _Z
    centre = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = _Z / (1 + z2 / n) * math.sqrt(share * (1 - share) / n + z2 / (4 * n * n))
    return Interval(share, max(0.0, centre - half), min(1.0, centre + half))


def bootstrap_mean(values: Sequence[float], seed: int = 0) -> Interval:
    """A mean with its percentile bootstrap interval; the same seed gives the same interval.

    Source: Efron 1979, Bootstrap methods; 4,000 resamples.
    """
    if not values:
        return Interval(0.0, 0.0, 0.0)
    sample = np.asarray(values, dtype=np.float64)
    picks = np.random.default_rng(seed).integers(0, len(sample), size=(_DRAWS, len(sample)))
    low, high = np.quantile(sample[picks].mean(axis=1), [0.025, 0.975])
    return Interval(float(sample.mean()), float(low), float(high))


def paired_difference(before: Sequence[float], after: Sequence[float], seed: int = 0) -> Interval:
    """Mean of after - before over the same tasks, with a bootstrap interval over tasks."""
    return bootstrap_mean([b - a for a, b in zip(before, after, strict=True)], seed)


def sign_test(wins: int, losses: int) -> float:
    """Probability of at least so many wins among wins and losses if both were equally likely (exact).

    Ties are left out. Source: McNemar 1947 in its exact form. It guards the bootstrap, whose intervals are
    too narrow when wins are rare.

    >>> sign_test(6, 0), sign_test(0, 0)
    (0.015625, 1.0)
    """
    n = wins + losses
    return float(sum(math.comb(n, k) for k in range(wins, n + 1)) / 2**n)
