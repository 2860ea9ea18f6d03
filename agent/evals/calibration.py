"""How good predictions of success are: by their squares, and as a yes or no. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence


def brier(predicted: Sequence[float], succeeded: Sequence[bool]) -> float:
    """Mean square of prediction minus outcome: 0 is perfect, 0.25 is always saying one half.

    Source: Brier 1950, Verification of forecasts expressed in terms of probability.

    >>> brier([1.0, 0.5], [True, False])
    0.125
    """
    squares = [(p - won) ** 2 for p, won in zip(predicted, succeeded, strict=True)]
    return math.fsum(squares) / len(squares)


def balanced_accuracy(said: Sequence[bool], succeeded: Sequence[bool]) -> float:
    """Mean of the shares of successes called so and of failures called so; one half is chance.

    A class that did not occur counts for nothing.

    >>> balanced_accuracy([True, True, False], [True, False, False])
    0.75
    """
    shares = []
    for kind in (True, False):
        calls = [yes == kind for yes, won in zip(said, succeeded, strict=True) if won == kind]
        if calls:
            shares.append(sum(calls) / len(calls))
    return math.fsum(shares) / len(shares) if shares else 0.5
