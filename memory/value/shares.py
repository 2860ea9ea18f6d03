"""Shares of trials with their intervals. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass

_Z = 1.959963984540054


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
