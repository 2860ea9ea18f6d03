"""Which episodes a recipe learns from. Every part is data: its `repr` says what it does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from distill.types import Select
from memory.types import Episode


@dataclass(frozen=True, slots=True)
class Success:
    """Episodes that succeeded, or earned more than `reward_above`."""

    reward_above: float = 0.0

    def __call__(self, episodes: Sequence[Episode]) -> tuple[Episode, ...]:
        """Keep the good ones."""
        return tuple(e for e in episodes if e.outcome == "success" or (e.reward or 0.0) > self.reward_above)


@dataclass(frozen=True, slots=True)
class UsedMemory:
    """Episodes whose prompt showed recalled items or principles."""

    def __call__(self, episodes: Sequence[Episode]) -> tuple[Episode, ...]:
        """Keep those that were helped."""
        return tuple(e for e in episodes if _was_helped(e))


@dataclass(frozen=True, slots=True)
class BestPerTask:
    """The `n` best attempts at each task: highest reward, then fewest steps, then smallest id.

    Source: AgentEvol (AgentGym, arXiv 2406.04151).
    """

    n: int = 1

    def __call__(self, episodes: Sequence[Episode]) -> tuple[Episode, ...]:
        """Keep the best of each task."""
        taken: dict[str, int] = {}
        kept: list[Episode] = []
        for episode in sorted(episodes, key=_merit):
            taken[episode.task_id] = taken.get(episode.task_id, 0) + 1
            if taken[episode.task_id] <= self.n:
                kept.append(episode)
        return tuple(kept)


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


def _was_helped(episode: Episode) -> bool:
    record = episode.recall
    shown = record is not None and (any(item.shown for item in record.items) or bool(record.constitution))
    return shown or any(message.kind == "memory" for message in episode.messages)


def _merit(episode: Episode) -> tuple[bool, float, int, str]:
    return (episode.outcome != "success", -(episode.reward or 0.0), episode.steps, episode.id)
