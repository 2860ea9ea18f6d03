"""Signals made of signals. Each is data: its `repr` says what is computed."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from distill.signals.stored import Credit, each, is_own
from distill.speakers import speakers
from distill.types import Signal
from memory.types import Episode


@dataclass(frozen=True, slots=True)
class Product:
    """All of them at once: the numbers multiplied."""

    parts: tuple[Signal, ...]

    def __call__(self, episodes: Sequence[Episode]) -> Credit:
        """Message by message."""
        said = [part(episodes) for part in self.parts]
        return {e.id: tuple(map(math.prod, zip(*(one[e.id] for one in said), strict=True))) for e in episodes}


@dataclass(frozen=True, slots=True)
class Sum:
    """One beside the other: the numbers added."""

    parts: tuple[Signal, ...]

    def __call__(self, episodes: Sequence[Episode]) -> Credit:
        """Message by message."""
        said = [part(episodes) for part in self.parts]
        return {e.id: tuple(map(math.fsum, zip(*(one[e.id] for one in said), strict=True))) for e in episodes}


@dataclass(frozen=True, slots=True)
class Scaled:
    """As much of a signal."""

    part: Signal
    by: float

    def __call__(self, episodes: Sequence[Episode]) -> Credit:
        """Message by message."""
        return each(self.part, episodes, lambda _, worth: worth * self.by)


@dataclass(frozen=True, slots=True)
class Positive:
    """What is better than nothing counts 1, all else 0: the masks that any trainer takes."""

    part: Signal

    def __call__(self, episodes: Sequence[Episode]) -> Credit:
        """Message by message."""
        return each(self.part, episodes, lambda _, worth: float(worth > 0.0))


@dataclass(frozen=True, slots=True)
class Exp:
    """Advantages to weights: min(exp(A / beta), cap).

    Source: advantage-weighted regression, Peng et al. 2019, arXiv 1910.00177, Eq. 11 and its clipping; the
    optimum of ReAd (arXiv 2405.14314) and WebRL (arXiv 2411.02337), on data of the behaviour policy.
    """

    part: Signal
    beta: float = 0.3
    cap: float = 20.0

    def __call__(self, episodes: Sequence[Episode]) -> Credit:
        """Message by message."""
        highest = math.log(self.cap)
        return each(self.part, episodes, lambda _, worth: math.exp(min(worth / self.beta, highest)))


@dataclass(frozen=True, slots=True)
class Normalised:
    """Less their mean and by their standard deviation, among the messages of one role, one task, or all.

    Numbers that are all the same are 0: nothing is better than anything. The roles are those of
    `distill.speakers`.

    Source: Task-Relative REINFORCE++ of MAE (arXiv 2510.23595) for roles.
    """

    part: Signal
    by: Literal["role", "task", "batch"] = "batch"

    def __call__(self, episodes: Sequence[Episode]) -> Credit:
        """Message by message."""
        said = self.part(episodes)
        members: dict[str, list[tuple[str, int]]] = {}
        for episode in episodes:
            for place, key in self._keys(episode):
                members.setdefault(key, []).append((episode.id, place))
        made = {episode.id: [0.0] * len(episode.messages) for episode in episodes}
        for places in members.values():
            for (id_, place), worth in zip(places, standard([said[i][n] for i, n in places]), strict=True):
                made[id_][place] = worth
        return {id_: tuple(credit) for id_, credit in made.items()}

    def _keys(self, episode: Episode) -> Iterator[tuple[int, str]]:
        """Each of the model's messages, and what it is compared among."""
        roles = speakers(episode.messages) if self.by == "role" else ()
        for place, message in enumerate(episode.messages):
            if is_own(message):
                key = roles[place] if roles else episode.task_id if self.by == "task" else ""
                yield place, key


def standard(values: Iterable[float]) -> tuple[float, ...]:
    """Less their mean and by their standard deviation; zeros where all are the same.

    >>> standard([1.0, 0.0, 1.0, 0.0]), standard([0.1, 0.1, 0.1])
    ((1.0, -1.0, 1.0, -1.0), (0.0, 0.0, 0.0))
    """
    found = tuple(values)
    if not found or min(found) == max(found):
        return (0.0,) * len(found)
    mean = math.fsum(found) / len(found)
    spread = math.sqrt(math.fsum((one - mean) ** 2 for one in found) / len(found))
    return tuple((one - mean) / spread for one in found)
