"""What lanes say: success and steps against episodes, with intervals. Pure."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from notebooks.bench_learning.lanes import Lived
from notebooks.bench_learning.notes import Records

Floats = NDArray[np.float64]
DRAWS = 2000


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean and its 95 % interval."""

    mean: float
    low: float
    high: float

    def said(self, scale: float = 100.0, digits: int = 1) -> str:
        """As the report has it, in points where the scale is 100."""
        mean, low, high = (scale * one for one in (self.mean, self.low, self.high))
        return f"{mean:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


class Arms:
    """The lanes of one comparison: every arm at the same sites, with the same seeds and tasks."""

    def __init__(self, records: Records, what: str) -> None:
        self._lived: dict[str, dict[tuple[str, int], list[Lived]]] = {}
        for record in records.where(what):
            lanes = self._lived.setdefault(record["arm"], {})
            lanes[record["site"], record["seed"]] = [Lived(*one) for one in record["lived"]]
        held = [set(lanes) for lanes in self._lived.values()]
        both = set.intersection(*held) if held else set()
        # In a run that is not over yet, a seed counts once all arms have been at all sites with it.
        seeds = Counter(seed for _, seed in both)
        self._lanes = sorted(lane for lane in both if seeds[lane[1]] == max(seeds.values()))

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._lived)

    @property
    def sites(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(site for site, _ in self._lanes))

    @property
    def seeds(self) -> int:
        return len({seed for _, seed in self._lanes})

    def lived(self, arm: str) -> list[Lived]:
        """All episodes of an arm."""
        return [one for lane in self._lanes for one in self._lived[arm][lane]]

    def by_task(self, arm: str, of: str, *, frozen: bool = False, first: bool = False) -> Floats:
        """Means of a property over the times a task was met: (sites, seeds, tasks).

        `first` takes the first time alone; `frozen` the unseen tasks at the end.
        """
        rows = []
        for site in self.sites:
            own = []
            for seed in sorted({seed for name, seed in self._lanes if name == site}):
                lived = [one for one in self._lived[arm][site, seed] if (one.round < 0) == frozen]
                wanted = [one for one in lived if one.round <= 0] if first else lived
                n = 1 + max(one.task for one in wanted)
                own.append([np.mean([getattr(o, of) for o in wanted if o.task == task]) for task in range(n)])
            rows.append(own)
        return np.asarray(rows, dtype=np.float64)

    def by_episode(self, arm: str, of: str) -> Floats:
        """A property of every episode in the order it was lived, unseen ones left out: (lanes, episodes)."""
        return np.asarray(
            [[getattr(o, of) for o in self._lived[arm][lane] if o.round >= 0] for lane in self._lanes],
            dtype=np.float64,
        )


def resampled(values: Floats, *, sites: bool = False) -> Interval:
    """The mean of (sites, seeds, tasks) by the percentile bootstrap: seeds are drawn, then tasks within each.

    Sites are fixed, for they differ more than any two systems do, unless `sites` are drawn as well. The same
    numbers give the same interval.
    """
    if values.size == 0:
        return Interval(float("nan"), float("nan"), float("nan"))
    rng = np.random.default_rng(0)
    n_sites, n_seeds, n_tasks = values.shape
    place = np.broadcast_to(np.arange(n_sites), (DRAWS, n_sites))
    if sites:
        place = rng.integers(0, n_sites, (DRAWS, n_sites))
    seed = rng.integers(0, n_seeds, (DRAWS, n_sites, n_seeds))
    task = rng.integers(0, n_tasks, (DRAWS, n_sites, n_seeds, n_tasks))
    means = values[place[:, :, None, None], seed[:, :, :, None], task].mean(axis=(1, 2, 3))
    low, high = np.percentile(means, [2.5, 97.5])
    return Interval(float(values.mean()), float(low), float(high))


def curve(episodes: Floats, n_blocks: int = 6) -> list[tuple[float, Interval]]:
    """Blocks of consecutive episodes: middle of each and the mean, by bootstrap over lanes (lanes, n)."""
    rng = np.random.default_rng(0)
    edges = np.linspace(0, episodes.shape[1], n_blocks + 1).round().astype(int)
    found = []
    for begin, end in pairwise(edges.tolist()):
        block = episodes[:, begin:end].mean(axis=1)
        picked = rng.integers(0, len(block), (DRAWS, len(block)))
        low, high = np.percentile(block[picked].mean(axis=1), [2.5, 97.5])
        found.append(((begin + 1 + end) / 2, Interval(float(block.mean()), float(low), float(high))))
    return found


def site_wins(ours: Floats, theirs: Floats) -> tuple[int, int]:
    """Sites where ours is ahead, and where it is behind."""
    ahead = (ours - theirs).mean(axis=(1, 2))
    return int((ahead > 0).sum()), int((ahead < 0).sum())
