"""The nouns of distillation: recipes, rows, datasets. Pure data."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from agent.types import ToolSpec
from memory.types import Episode, Message

Objective = Literal["nll", "prefer", "unpaired", "regress"]
"""What weights mean. `nll`: how much of a message is learned, at least 0. `prefer`: the last message of a row
is preferred to `rejected`. `unpaired`: above 0 the last message is desired, below 0 it is not. `regress`: the
advantage of the last message, either sign."""


@dataclass(frozen=True, slots=True)
class Row:
    """One training example: messages with a weight each, and where every one came from."""

    episode: str
    """Empty for what is of none: general rows."""
    messages: tuple[Message, ...]
    """`weight` is set on each; 0 is context."""
    indices: tuple[int, ...]
    """Index of each message in the episode; -1 for what a shape wrote."""
    stream: str = "main"
    """Which part of the recipe's mixture it belongs to."""
    tools: tuple[ToolSpec, ...] = ()
    """What could be called, as models of the full style are told; empty where nobody recorded it."""
    rejected: Message | None = None
    """For `prefer`: what is worse than the last message."""
    also: tuple[str, ...] = ()
    """Ids of further episodes that it was made of."""

    @property
    def has_memory(self) -> bool:
        """Did the prompt show recalled items?"""
        return any(message.kind == "memory" for message in self.messages)

    @property
    def is_empty(self) -> bool:
        """Is there nothing to train on?"""
        return not any(message.weight for message in self.messages)

    @property
    def episodes(self) -> tuple[str, ...]:
        """Ids of all that it was made of."""
        return tuple(id_ for id_ in (self.episode, *self.also) if id_)


Episodes: TypeAlias = Mapping[str, Episode]
"""All that were admitted, by id."""
Select: TypeAlias = Callable[[Sequence[Episode]], tuple[Episode, ...]]
"""Which episodes to learn from."""
Signal: TypeAlias = Callable[[Sequence[Episode]], Mapping[str, tuple[float, ...]]]
"""Credit of all that were admitted: for each episode id one number per message."""
Shape: TypeAlias = Callable[[Sequence[Row], Episodes], tuple[Row, ...]]
"""What is context and what is target: whole episodes in, one row each; rows out."""


@dataclass(frozen=True, slots=True)
class Stream:
    """Further rows in another shape, mixed in."""

    name: str
    shape: Shape
    share: float
    """Part of all rows, in (0, 1); the shares of a recipe's streams add up to less than 1."""
    of: Literal["memory", "general"] = "memory"
    """Of the recipe's episodes, or of the job's general rows: what the base can do and is to keep."""
    if_any: bool = False
    """Do without where there are no such rows; the shares of the others grow alike."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """A paper's method section as data: its `repr` is recorded in every manifest."""

    name: str
    select: Select
    signal: Signal
    shape: Shape
    objective: Objective = "nll"
    mixture: tuple[Stream, ...] = ()
    after: str | None = None
    """The recipe, over the same memory, that training goes on from; None: the base model. Memory is the state
    and an adapter a cache: whatever there are of stages, the first one starts from the base."""
    prompt_prefix: str | None = None
    """Text that conditions the model, as in feedback-aware fine-tuning; serving puts it into the prompt."""


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
    objective: Objective = "nll"

    @property
    def episodes(self) -> tuple[str, ...]:
        """Ids of the episodes that train, in order."""
        return tuple(sorted({id_ for row in self.rows for id_ in row.episodes}))
