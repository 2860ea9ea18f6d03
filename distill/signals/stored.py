"""What signals read of an episode: whose words are credited, how it went, what it answered.

The law of every signal: one number for each message; 0 for what the world, the user or memory said. What a
model said beside its turns and is told as a user's (plans, goals, critiques) is credited like its turns.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Literal

from agent.types import ANSWER_TOOL
from distill.shapes.masks import is_aside
from distill.types import Signal
from memory.types import Episode, Json, Message

By = Literal["group", "task", "family"]
"""Attempts at one task under one model and memory; at one task; at tasks that share experience."""
Credit = Mapping[str, tuple[float, ...]]
_ANSWER = re.compile(r"<answer>(.*?)</answer>", re.DOTALL)


def is_own(message: Message) -> bool:
    """Are these the model's words?"""
    return (message.role == "assistant" and message.kind != "memory") or is_aside(message)


def spread(episode: Episode, worth: float) -> tuple[float, ...]:
    """The same number on each of the model's messages."""
    return tuple(worth if is_own(message) else 0.0 for message in episode.messages)


def each(signal: Signal, episodes: Sequence[Episode], change: Callable[[Episode, float], float]) -> Credit:
    """What a signal says, changed message by message; what is not the model's stays 0."""
    return {
        episode.id: tuple(
            change(episode, worth) if is_own(message) else 0.0
            for message, worth in zip(episode.messages, credit, strict=True)
        )
        for episode, credit in _paired(signal, episodes)
    }


def _paired(signal: Signal, episodes: Sequence[Episode]) -> list[tuple[Episode, tuple[float, ...]]]:
    said = signal(episodes)
    return [(episode, said[episode.id]) for episode in episodes]


def reward_of(episode: Episode) -> float:
    """Its reward; without one 1 for a success, else 0."""
    return float(episode.outcome == "success") if episode.reward is None else episode.reward


def grouped(episodes: Sequence[Episode], by: By) -> dict[str, list[Episode]]:
    """Episodes by what they are attempts at, each list in the order of ids."""
    groups: dict[str, list[Episode]] = {}
    for episode in sorted(episodes, key=lambda one: one.id):
        groups.setdefault(_key(episode, by), []).append(episode)
    return groups


def _key(episode: Episode, by: By) -> str:
    if by == "family":
        return f"{episode.world} {episode.family}"
    # A run that was set to nothing else is of the group of its task.
    return (episode.group or episode.task_id) if by == "group" else episode.task_id


def answer_of(episode: Episode) -> str | None:
    """The last line of its final answer, by a call, in words or between tags, without case and marks.

    None where it gave none, as in worlds where acts alone count.

    >>> from tests.distill.episodes import make_episode
    >>> answer_of(make_episode("e1")) is None
    True
    """
    for message in reversed(episode.messages):
        if message.role != "assistant":
            continue
        said = [
            str(call.arguments.get("answer", "")) for call in message.tool_calls if call.name == ANSWER_TOOL
        ]
        text = said[-1] if said else message.text if message.kind == "answer" else ""
        tagged = _ANSWER.findall(text)
        text = tagged[-1] if tagged else text
        lines = [line for line in text.splitlines() if line.strip()]
        if lines:
            return " ".join(lines[-1].casefold().removeprefix("answer:").split()).strip(" *`'\".:")
    return None


def number(value: Json) -> float | None:
    """A number or a truth value of the feedback; None for anything else."""
    return float(value) if isinstance(value, bool | int | float) else None
