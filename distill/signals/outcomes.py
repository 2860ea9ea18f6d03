"""Credit: how much each message of an episode is worth learning from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from memory.types import Episode
from memory.value.steps import GAMMA


@dataclass(frozen=True, slots=True)
class Uniform:
    """Every assistant message is worth the same."""

    def __call__(self, episodes: Sequence[Episode]) -> Mapping[str, tuple[float, ...]]:
        """One for the assistant, nothing for the others."""
        return {e.id: tuple(float(m.role == "assistant") for m in e.messages) for e in episodes}


@dataclass(frozen=True, slots=True)
class Outcome:
    """Assistant messages are worth their episode's reward; a success without one is worth 1."""

    def __call__(self, episodes: Sequence[Episode]) -> Mapping[str, tuple[float, ...]]:
        """The reward, at least 0, on the assistant's messages."""
        return {e.id: tuple(_worth(e) * (m.role == "assistant") for m in e.messages) for e in episodes}


@dataclass(frozen=True, slots=True)
class Returns:
    """Discounted returns: an act `k` acts before the end of the episode is worth gamma^k of its reward."""

    gamma: float = GAMMA

    def __call__(self, episodes: Sequence[Episode]) -> Mapping[str, tuple[float, ...]]:
        """The discounted reward on the assistant's messages."""
        return {episode.id: self._returns(episode) for episode in episodes}

    def _returns(self, episode: Episode) -> tuple[float, ...]:
        credit: list[float] = []
        value = _worth(episode)
        for message in reversed(episode.messages):
            credit.append(value if message.role == "assistant" else 0.0)
            value *= self.gamma if message.role == "assistant" else 1.0
        return tuple(reversed(credit))


def _worth(episode: Episode) -> float:
    if episode.reward is None:
        return float(episode.outcome == "success")
    return max(0.0, episode.reward)
