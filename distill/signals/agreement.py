"""Credit by what several attempts at one task agree on, and how hard that makes the task."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from distill.signals.stored import By, Credit, answer_of, each, grouped, reward_of, spread
from distill.types import Signal
from distill.value import Prospect, Prospects
from memory.types import Episode

Chance = Literal["agreement", "success"]
"""What p̂ of a task is: the share of its attempts that gave the most common answer, or their mean reward."""


def chances(episodes: Sequence[Episode], of: Chance = "agreement", by: By = "group") -> Mapping[str, float]:
    """p̂ of each episode's task, 0..1, by episode id. A missing answer agrees with nothing."""
    found: dict[str, float] = {}
    for group in grouped(episodes, by).values():
        share = _mean_reward(group) if of == "success" else _share(group)
        found |= {one.id: share for one in group}
    return found


def majorities(episodes: Sequence[Episode], by: By = "group") -> Mapping[str, str | None]:
    """The most common answer among the attempts at each episode's task; None where two are as common."""
    found: dict[str, str | None] = {}
    for group in grouped(episodes, by).values():
        first = _votes(group).most_common(2)
        is_clear = len(first) == 1 or (len(first) == 2 and first[0][1] > first[1][1])
        found |= {one.id: first[0][0] if is_clear else None for one in group}
    return found


@dataclass(frozen=True, slots=True)
class Consensus:
    """1 where an attempt answers as most attempts at the task did, else 0: no outcome is needed.

    Source: the executor's pseudo labels of Agent0 (arXiv 2511.16043). Deviation: where two answers are as
    common, neither is the label.
    """

    by: By = "group"

    def __call__(self, episodes: Sequence[Episode]) -> Credit:
        """The same on all the model's messages of an episode."""
        common = majorities(episodes, self.by)
        return {
            one.id: spread(one, float(common[one.id] is not None and answer_of(one) == common[one.id]))
            for one in episodes
        }


@dataclass(frozen=True, slots=True)
class Trust:
    """A signal, believed less where attempts at the task disagree: pseudo labels are noisy there.

    From `least` at p̂ = `low` to 1 at p̂ = `high`. Source: Agent0's ADPO (arXiv 2511.16043), its code's scale.
    """

    part: Signal
    low: float = 0.3
    high: float = 0.8
    least: float = 0.6
    of: Chance = "agreement"
    by: By = "group"

    def __call__(self, episodes: Sequence[Episode]) -> Credit:
        """Message by message."""
        told = chances(episodes, self.of, self.by)
        return each(self.part, episodes, lambda episode, worth: worth * self.scale(told[episode.id]))

    def scale(self, chance: float) -> float:
        """What p̂ makes of a weight.

        >>> Trust(Consensus()).scale(0.55)
        0.8
        """
        way = (chance - self.low) / (self.high - self.low)
        return self.least + (1.0 - self.least) * min(1.0, max(0.0, way))


@dataclass(frozen=True, slots=True)
class Difficulty:
    """What the task of an episode is worth being proposed: hard for those who attempt it, or undecided.

    `failure` is 1 - p̂ (the proposer's reward of MAE, arXiv 2510.23595); `doubt` is 1 - 2|p̂ - ½| (Agent0,
    arXiv 2511.16043). The proposal is no part of an episode: the number stands on all of its messages.
    """

    measure: Literal["failure", "doubt"] = "failure"
    of: Chance = "success"
    by: By = "task"

    def __call__(self, episodes: Sequence[Episode]) -> Credit:
        """The same on all the model's messages of an episode."""
        told = chances(episodes, self.of, self.by)
        return {one.id: spread(one, self._worth(told[one.id])) for one in episodes}

    def _worth(self, chance: float) -> float:
        return 1.0 - chance if self.measure == "failure" else 1.0 - 2.0 * abs(chance - 0.5)


@dataclass(frozen=True, slots=True)
class Calibration:
    """Can tasks like this one be done? Above 0: yes; below: no; the size is how sure memory is.

    (2 p - 1) n / (n + 2), with p and n of the nearest attempts: the answer to an assessment of oneself, and
    its weight. Source: KnowRL (arXiv 2510.11407), there by agreement of self-assessments. Deviation: what was
    measured takes their place. The assessment is no part of an episode: the number stands on all messages.
    """

    prospects: Prospects = field(default_factory=Prospects)

    def __call__(self, episodes: Sequence[Episode]) -> Credit:
        """The same on all the model's messages of an episode."""
        told = self.prospects(episodes)
        return {one.id: spread(one, _sureness(told[one.id])) for one in episodes}


def _sureness(told: Prospect) -> float:
    return (2.0 * told.chance - 1.0) * told.n / (told.n + 2.0)


def _votes(group: Sequence[Episode]) -> Counter[str]:
    return Counter(answer for one in group if (answer := answer_of(one)) is not None)


def _share(group: Sequence[Episode]) -> float:
    return max(_votes(group).values(), default=0) / len(group)


def _mean_reward(group: Sequence[Episode]) -> float:
    return math.fsum(min(1.0, max(0.0, reward_of(one))) for one in group) / len(group)
