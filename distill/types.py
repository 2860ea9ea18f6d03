"""The nouns of distillation: recipes, rows, datasets. Pure data."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from agent.types import ToolSpec
from memory.types import Episode, Message

Objective = Literal["nll", "prefer", "unpaired", "regress"]


@dataclass(frozen=True, slots=True)
class Row:
    """One training example: messages with a weight each, and where every one came from."""

    episode: str
    messages: tuple[Message, ...]
    """`weight` is set on each; 0 is context."""
    indices: tuple[int, ...]
    """Index of each message in the episode."""
    stream: str = "main"
    """Which part of the recipe's mixture it belongs to."""
    tools: tuple[ToolSpec, ...] = ()
    """What could be called, as models of the full style are told; empty where nobody recorded it."""

    @property
    def has_memory(self) -> bool:
        """Did the prompt show recalled items?"""
        return any(message.kind == "memory" for message in self.messages)

    @property
    def is_empty(self) -> bool:
        """Is there nothing to train on?"""
        return not any(message.weight for message in self.messages)


Select: TypeAlias = Callable[[Sequence[Episode]], tuple[Episode, ...]]
"""Which episodes to learn from."""
Signal: TypeAlias = Callable[[Sequence[Episode]], Mapping[str, tuple[float, ...]]]
"""Credit: for each episode id one number per message, at least 0."""
Shape: TypeAlias = Callable[[Row], tuple[Row, ...]]
"""What is context and what is target: a whole episode in, rows out."""


@dataclass(frozen=True, slots=True)
class Stream:
    """Further rows of the same episodes in another shape, mixed in."""

    name: str
    shape: Shape
    share: float
    """Part of all rows, in (0, 1); the shares of a recipe's streams add up to less than 1."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """A paper's method section as data: its `repr` is recorded in every manifest."""

    name: str
    select: Select
    signal: Signal
    shape: Shape
    objective: Objective = "nll"
    mixture: tuple[Stream, ...] = ()
    start: Literal["base"] = "base"
    """Memory is the state and an adapter a cache: training always starts from the base model."""
    prompt_prefix: str | None = None
    """Text that conditions the model, as in feedback-aware fine-tuning."""


@dataclass(frozen=True, slots=True)
class Rejected:
    """An episode that gave no row, and why."""

    episode: str
    reason: str


@dataclass(frozen=True, slots=True)
class Dataset:
    """What a recipe made of a bundle; a pure function of both and the seed."""

    recipe: str
    seed: int
    namespace: str
    rows: tuple[Row, ...]
    rejected: tuple[Rejected, ...]
    hash: str
    """SHA-256 of the recipe, the seed and the bytes of `messages.jsonl`."""

    @property
    def episodes(self) -> tuple[str, ...]:
        """Ids of the episodes that train, in order."""
        return tuple(sorted({row.episode for row in self.rows}))
