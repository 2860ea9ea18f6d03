"""Which episodes a recipe learns from. Every part is data: its `repr` says what it does.

What is left keeps the order it came in, or is sorted by id; `build` sorts by id anyhow.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from distill.signals.agreement import chances
from distill.signals.stored import By, grouped
from distill.types import Select
from distill.value import Critic
from memory.types import Episode, EpisodeOrigin, Kind

Measure = Literal["agreement", "success", "value", "surprise"]


@dataclass(frozen=True, slots=True)
class Everything:
    """All episodes."""

    def __call__(self, episodes: Sequence[Episode]) -> tuple[Episode, ...]:
        """Keep them."""
        return tuple(episodes)


@dataclass(frozen=True, slots=True)
class Success:
    """Episodes that succeeded, or earned more than `reward_above`."""

    reward_above: float = 0.0

    def __call__(self, episodes: Sequence[Episode]) -> tuple[Episode, ...]:
        """Keep the good ones."""
        return tuple(e for e in episodes if e.outcome == "success" or (e.reward or 0.0) > self.reward_above)


@dataclass(frozen=True, slots=True)
class Failure:
    """Episodes that failed; with `repaired`, those alone whose task somebody did later."""

    repaired: bool = False

    def __call__(self, episodes: Sequence[Episode]) -> tuple[Episode, ...]:
        """Keep the bad ones.

        Source of `repaired`: Re-ReST (arXiv 2406.01495), failures with a verified repair.
        """
        last: dict[str, tuple[float, str]] = {}
        for one in episodes:
            if one.outcome == "success":
                last[one.task_id] = max(last.get(one.task_id, _when(one)), _when(one))
        failed = (one for one in episodes if one.outcome == "failure")
        return tuple(
            one
            for one in failed
            if not self.repaired or (one.task_id in last and last[one.task_id] > _when(one))
        )


@dataclass(frozen=True, slots=True)
class UsedMemory:
    """Episodes whose prompt showed recalled items or principles."""

    def __call__(self, episodes: Sequence[Episode]) -> tuple[Episode, ...]:
        """Keep those that were helped."""
        return tuple(e for e in episodes if _was_helped(e))


@dataclass(frozen=True, slots=True)
class Has:
    """Episodes with a message of a kind: a plan, a reflection, a critique."""

    kind: Kind
    agent: str | None = None
    """Said by this one; None: by anybody."""

    def __call__(self, episodes: Sequence[Episode]) -> tuple[Episode, ...]:
        """Keep those that have one."""
        return tuple(
            e
            for e in episodes
            if any(m.kind == self.kind and self.agent in (None, m.agent) for m in e.messages)
        )


@dataclass(frozen=True, slots=True)
class Judged:
    """Episodes whose steps have verdicts."""

    def __call__(self, episodes: Sequence[Episode]) -> tuple[Episode, ...]:
        """Keep those."""
        return tuple(e for e in episodes if e.verdicts)


@dataclass(frozen=True, slots=True)
class BestPerTask:
    """The `n` best attempts at each task: highest reward, then fewest steps, then smallest id.

    Source: AgentEvol (AgentGym, arXiv 2406.04151).
    """

    n: int = 1

    def __call__(self, episodes: Sequence[Episode]) -> tuple[Episode, ...]:
        """Keep the best of each task."""
        return _first_of_each(sorted(episodes, key=_merit), self.n, lambda one: one.task_id)


@dataclass(frozen=True, slots=True)
class Branches:
    """Episodes whose task was attempted in at least so many ways: those that can be compared.

    Source: MALT (arXiv 2412.01928), whose credit needs branches.
    """

    least: int = 2
    by: By = "task"

    def __call__(self, episodes: Sequence[Episode]) -> tuple[Episode, ...]:
        """Keep those of tasks with enough attempts."""
        groups = grouped(episodes, self.by).values()
        return tuple(one for group in groups if len(group) >= self.least for one in group)


@dataclass(frozen=True, slots=True)
class Band:
    """Episodes whose measure lies in [low, high]: neither mastered nor out of reach.

    `agreement` and `success` are p̂ of the task (Agent0, arXiv 2511.16043: 0.3..0.8); `value` is what the
    critic from memory expects at the beginning, of other episodes (WebRL, arXiv 2411.02337: 0.05..0.75);
    `surprise` is the probability of a token under the model that wrote it, the geometric mean over the
    episode (WebRL: 0.5..0.95). WebRL asks the present actor; the one that wrote it is what is stored.
    """

    low: float
    high: float
    of: Measure
    keeps_unknown: bool = False
    """What becomes of episodes without a measure: hosted models return no probabilities."""
    critic: Critic = field(default_factory=Critic)
    by: By = "task"

    def __call__(self, episodes: Sequence[Episode]) -> tuple[Episode, ...]:
        """Keep those inside."""
        told = self._measured(episodes)
        return tuple(one for one in episodes if self._holds(told.get(one.id)))

    def _holds(self, measure: float | None) -> bool:
        return self.keeps_unknown if measure is None else self.low <= measure <= self.high

    def _measured(self, episodes: Sequence[Episode]) -> Mapping[str, float | None]:
        if self.of == "value":
            return self.critic.openings(episodes)
        if self.of == "surprise":
            return {one.id: token_probability(one) for one in episodes}
        return chances(episodes, self.of, self.by)


@dataclass(frozen=True, slots=True)
class Balanced:
    """At most `most` episodes of each family, world or outcome, the newest.

    Source: the balancing of WebEvolver (arXiv 2504.21024), by start page and action.
    """

    by: Literal["family", "world", "outcome", "task_id"] = "family"
    most: int = 20

    def __call__(self, episodes: Sequence[Episode]) -> tuple[Episode, ...]:
        """Keep the newest of each."""
        newest = sorted(episodes, key=_when, reverse=True)
        return _first_of_each(newest, self.most, lambda one: str(getattr(one, self.by)))


@dataclass(frozen=True, slots=True)
class Anchor:
    """The first good demonstrations that memory ever had, and those that are pinned by their ids.

    Source: AgentEvol (arXiv 2406.04151) appends its demonstrations in every round: they stop the drift.
    """

    n: int = 50
    pinned: tuple[str, ...] = ()

    def __call__(self, episodes: Sequence[Episode]) -> tuple[Episode, ...]:
        """Keep the pinned ones, and of the other successes the oldest."""
        first = sorted((one for one in episodes if one.outcome == "success"), key=_when)[: self.n]
        kept = {one.id for one in first}.union(self.pinned)
        return tuple(one for one in episodes if one.id in kept)


@dataclass(frozen=True, slots=True)
class Recent:
    """The `n` newest episodes."""

    n: int

    def __call__(self, episodes: Sequence[Episode]) -> tuple[Episode, ...]:
        """Keep the newest."""
        return tuple(sorted(episodes, key=_when, reverse=True)[: self.n])


@dataclass(frozen=True, slots=True)
class Origin:
    """Episodes of one origin make at most `share` of what is kept, the newest of them."""

    origin: EpisodeOrigin = "imagined"
    share: float = 0.3

    def __call__(self, episodes: Sequence[Episode]) -> tuple[Episode, ...]:
        """Keep all others, and of these as many as the share allows; a share of 1 is all."""
        own = sorted((one for one in episodes if one.origin == self.origin), key=_when, reverse=True)
        others = tuple(one for one in episodes if one.origin != self.origin)
        if self.share >= 1.0:
            return (*others, *own)
        # Less a hair: 0.3 / 0.7 of 7 others is 3, whatever floats say.
        most = math.floor(len(others) * self.share / (1.0 - self.share) + 1e-9)
        return (*others, *own[:most])


@dataclass(frozen=True, slots=True)
class Both:
    """One selection after another."""

    parts: tuple[Select, ...]

    def __call__(self, episodes: Sequence[Episode]) -> tuple[Episode, ...]:
        """Keep what every part keeps."""
        kept = tuple(episodes)
        for part in self.parts:
            kept = part(kept)
        return kept


@dataclass(frozen=True, slots=True)
class Either:
    """What any of several selections keeps, each of all episodes."""

    parts: tuple[Select, ...]

    def __call__(self, episodes: Sequence[Episode]) -> tuple[Episode, ...]:
        """Keep their union."""
        kept = {one.id for part in self.parts for one in part(episodes)}
        return tuple(one for one in episodes if one.id in kept)


def token_probability(episode: Episode) -> float | None:
    """Geometric mean of the probabilities of all tokens that the model wrote; None where they are not known.

    The stored sums are by message and the count of tokens by episode: an episode with questions beside its
    turns, or with a turn without a sum, is not known.
    """
    said = [one.logprob for one in episode.messages if one.role == "assistant" and one.kind != "memory"]
    known = [one for one in said if one is not None]
    usage = episode.usage
    if not known or len(known) < len(said) or usage.calls != len(said) or usage.completion_tokens <= 0:
        return None
    return math.exp(math.fsum(known) / usage.completion_tokens)


def _first_of_each(episodes: Sequence[Episode], n: int, key: Callable[[Episode], str]) -> tuple[Episode, ...]:
    taken: dict[str, int] = {}
    kept: list[Episode] = []
    for one in episodes:
        taken[key(one)] = taken.get(key(one), 0) + 1
        if taken[key(one)] <= n:
            kept.append(one)
    return tuple(kept)


def _was_helped(episode: Episode) -> bool:
    record = episode.recall
    shown = record is not None and (any(item.shown for item in record.items) or bool(record.constitution))
    return shown or any(message.kind == "memory" for message in episode.messages)


def _when(episode: Episode) -> tuple[float, str]:
    return episode.started_at, episode.id


def _merit(episode: Episode) -> tuple[bool, float, int, str]:
    return (episode.outcome != "success", -(episode.reward or 0.0), episode.steps, episode.id)
