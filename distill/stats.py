"""Intervals and paired comparisons. Pure functions; randomness is a seed."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from memory.value.shares import Interval, wilson

__all__ = ["Interval", "bootstrap_mean", "paired_difference", "sign_test", "wilson"]
_DRAWS = 4000


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
