"""Coins tossed anew over rewards that were lived, and what the court decides by them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from memory.value.evidence import estimates, log_evidence, mirrored, spend
from memory.value.lift import BAR
from memory.value.means import PRIOR_N
from memory.writing.credit import NEWEST


@dataclass(frozen=True, slots=True)
class Decided:
    """What the court did in one run, and when."""

    promoted: tuple[int, ...]
    """Arrival numbers of the principles, from 1."""
    retired: tuple[int, ...]
    first_at: int | None
    """Episodes until the first promotion."""


def redrawn(rewards: Sequence[float], runs: int, principles: int, rate: float, seed: int) -> list[Decided]:
    """Coins tossed anew over rewards that were lived: whatever they are, these coins changed nothing.

    Weighed as `memory.writing.credit` does, the court looking after every episode.
    """
    r = np.asarray(rewards, dtype=np.float64)  # (n,)
    b = np.asarray([expected(rewards[:place]) for place in range(len(r))])
    shown = tossed(runs, principles, len(r), rate, seed)
    found = estimates(r, b, shown, np.full(len(r), rate))
    up, down = log_evidence(found), log_evidence(mirrored(found))  # (runs, principles, n)
    bars = np.asarray([-math.log(spend(BAR.alpha, place + 1)) for place in range(principles)])
    rises, falls = up >= bars[:, None], down >= -math.log(BAR.harm)
    # Who is retired first is not promoted any more, and the other way round it may still be retired.
    promoted = rises.any(-1) & (_first(rises) < _first(falls))
    return [
        Decided(
            tuple(int(i) + 1 for i in np.flatnonzero(promoted[run])),
            tuple(int(i) + 1 for i in np.flatnonzero(falls[run].any(-1))),
            int(_first(rises[run])[promoted[run]].min()) + 1 if promoted[run].any() else None,
        )
        for run in range(runs)
    ]


def _first(hits: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Place of the first one, the length where there is none."""
    return np.where(hits.any(-1), hits.argmax(-1), hits.shape[-1])


def tossed(runs: int, principles: int, episodes: int, rate: float, seed: int) -> NDArray[np.bool_]:
    """Which principle each episode of each run was shown: (runs, principles, episodes)."""
    return np.random.default_rng(seed).random((runs, principles, episodes)) < rate


def expected(before: Sequence[float]) -> float:
    """What the rewards before an episode promise, as `memory.writing.credit` has it."""
    newest = before[-NEWEST:]
    return (0.5 * PRIOR_N + sum(newest)) / (PRIOR_N + len(newest))
