"""Credit by how an episode ended, alone or among attempts at the same task."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from distill.signals.combined import standard
from distill.signals.stored import By, Credit, grouped, is_own, reward_of, spread
from memory.types import Episode
from memory.value.steps import GAMMA


@dataclass(frozen=True, slots=True)
class Uniform:
    """Every message of the model is worth the same."""

    def __call__(self, episodes: Sequence[Episode]) -> Credit:
        """One for the model, nothing for the others."""
        return {episode.id: spread(episode, 1.0) for episode in episodes}


@dataclass(frozen=True, slots=True)
class Outcome:
    """The model's messages are worth their episode's reward; a success without one is worth 1."""

    def __call__(self, episodes: Sequence[Episode]) -> Credit:
        """The reward, at least 0."""
        return {episode.id: spread(episode, max(0.0, reward_of(episode))) for episode in episodes}


@dataclass(frozen=True, slots=True)
class Returns:
    """Discounted returns: a turn `k` turns of the model before its last is worth gamma^k of the reward."""

    gamma: float = GAMMA

    def __call__(self, episodes: Sequence[Episode]) -> Credit:
        """The discounted reward, at least 0."""
        return {episode.id: self._returns(episode) for episode in episodes}

    def _returns(self, episode: Episode) -> tuple[float, ...]:
        credit: list[float] = []
        value = max(0.0, reward_of(episode))
        for message in reversed(episode.messages):
            credit.append(value if is_own(message) else 0.0)
            value *= self.gamma if message.role == "assistant" else 1.0
        return tuple(reversed(credit))


@dataclass(frozen=True, slots=True)
class GroupNorm:
    """An episode's reward less the mean of its group's, by their standard deviation; 0 where all went alike.

    Source: the advantage of GRPO (arXiv 2402.03300, §4.1.2); groups without difference are dropped in ART.
    """

    by: By = "group"

    def __call__(self, episodes: Sequence[Episode]) -> Credit:
        """The same on all the model's messages of an episode, of either sign."""
        credit: dict[str, tuple[float, ...]] = {}
        for group in grouped(episodes, self.by).values():
            worth = standard(map(reward_of, group))
            credit |= {one.id: spread(one, value) for one, value in zip(group, worth, strict=True)}
        return credit
