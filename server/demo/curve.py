"""The learning curve: success and steps by block of tasks, with intervals, as numbers and as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from agent.worlds.catalogue import MAX_STEPS
from server.demo.trial import ARMS, Arm, Result

RESAMPLES = 2000
_LOOKS = {"on": ("memory on", "#1b6ca8"), "off": ("memory off (control)", "#b0553a")}


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean with its 95 % bootstrap interval."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Block:
    """Consecutive tasks of one arm, over all sites."""

    arm: Arm
    first: int
    """Number of its first task, counted from 1."""
    last: int
    success: Estimate
    steps: Estimate


def blocks(results: Sequence[Result], n_tasks: int, n_blocks: int = 4) -> tuple[Block, ...]:
    """The curve of both arms in `n_blocks` equal parts."""
    edges = np.linspace(0, n_tasks, n_blocks + 1).round().astype(int)
    return tuple(_block(arm, int(begin), int(end), results) for arm in ARMS for begin, end in pairwise(edges))


def difference(results: Sequence[Result], begin: int, end: int) -> Estimate:
    """Success with memory minus without, over the same tasks `begin` to `end`, paired."""
    control = {(r.site, r.number): r.success for r in results if r.arm == "off"}
    return estimate([
        (r.site, float(r.success) - float(control[r.site, r.number]))
        for r in results
        if r.arm == "on" and begin <= r.number < end and (r.site, r.number) in control
    ])  # fmt: skip


def estimate(values: Sequence[tuple[str, float]]) -> Estimate:
    """Percentile bootstrap in two levels over (site, value): sites are drawn, then values within each.

    Tasks of one site share its secrets, so they are not independent. The seed is fixed: the same trial
    prints the same numbers.
    """
    if not values:
        return Estimate(float("nan"), float("nan"), float("nan"))
    by_site = [
        np.asarray([v for s, v in values if s == site]) for site in dict.fromkeys(s for s, _ in values)
    ]
    rng = np.random.default_rng(0)
    means = [_resampled(by_site, rng) for _ in range(RESAMPLES)]
    low, high = np.percentile(means, [2.5, 97.5])
    return Estimate(float(np.mean([v for _, v in values])), float(low), float(high))


def _resampled(by_site: Sequence[np.ndarray], rng: np.random.Generator) -> float:
    drawn = (by_site[i] for i in rng.integers(0, len(by_site), len(by_site)))
    return float(np.concatenate([site[rng.integers(0, len(site), len(site))] for site in drawn]).mean())


def draw(curve: Sequence[Block], path: Path, title: str) -> None:
    """Success and steps against tasks done, both arms, as a PNG."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    figure, (upper, lower) = pyplot.subplots(2, 1, figsize=(7.0, 6.0), sharex=True)
    for arm in ARMS:
        label, color = _LOOKS[arm]
        mine = [block for block in curve if block.arm == arm]
        x = [(block.first + block.last) / 2 for block in mine]
        for axes, name in ((upper, "success"), (lower, "steps")):
            values: list[Estimate] = [getattr(block, name) for block in mine]
            axes.plot(x, [v.mean for v in values], marker="o", color=color, label=label)
            axes.fill_between(x, [v.low for v in values], [v.high for v in values], color=color, alpha=0.18)
    upper.set(ylabel="success", ylim=(0.0, 1.0), title=title)
    lower.set(ylabel="steps", xlabel="tasks done at the site")
    upper.legend(loc="upper left")
    figure.tight_layout()
    figure.savefig(path, dpi=150)
    pyplot.close(figure)


def _block(arm: Arm, begin: int, end: int, results: Sequence[Result]) -> Block:
    mine = [r for r in results if r.arm == arm and begin <= r.number < end]
    return Block(
        arm,
        begin + 1,
        end,
        estimate([(r.site, float(r.success)) for r in mine]),
        # A failure costs all the steps there are: one that ends at once, by a broken rule, is no saving.
        estimate([(r.site, float(r.steps if r.success else MAX_STEPS)) for r in mine]),
    )
