"""Whole episodes, and parts of them that do not train.

The laws every shape keeps: memory and what the world said never train (but in the world model); what is
written by a shape has index -1; the order of an episode's messages stays.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from distill.types import Episodes, Row, Shape
from memory.types import Episode, Message


def trajectory(episode: Episode, credit: tuple[float, ...]) -> Row:
    """The whole episode as one row.

    A weight set by hand on a message takes the place of its credit; nobody but the assistant ever has weight.
    """
    messages = tuple(
        replace(message, weight=_weight(message, worth))
        for message, worth in zip(episode.messages, credit, strict=True)
    )
    return Row(episode.id, messages, tuple(range(len(messages))))


@dataclass(frozen=True, slots=True)
class Whole:
    """The rows as they are."""

    def __call__(self, rows: Sequence[Row], _: Episodes) -> tuple[Row, ...]:
        """Nothing changes."""
        return tuple(rows)


@dataclass(frozen=True, slots=True)
class MaskErrors:
    """Wrong acts become context: what the agent did about them is still learned.

    Source: STeP (self-reflected trajectories and partial masking, arXiv 2505.20023): "error" steps carry no
    loss, later ones do. Here an act is wrong when the world said so (`ok` is False); unknown counts as right.
    """

    def __call__(self, rows: Sequence[Row], _: Episodes) -> tuple[Row, ...]:
        """Weight 0 on every assistant message that the world refused."""
        return tuple(replace(row, messages=tuple(map(_masked, row.messages))) for row in rows)


@dataclass(frozen=True, slots=True)
class Steps:
    """One row per target: everything before it is context (prefix split)."""

    def __call__(self, rows: Sequence[Row], _: Episodes) -> tuple[Row, ...]:
        """As many rows as there are messages with weight."""
        return tuple(
            replace(row, messages=(*context_of(row, at), message), indices=row.indices[: at + 1])
            for row in rows
            for at, message in enumerate(row.messages)
            if message.weight
        )


@dataclass(frozen=True, slots=True)
class Chain:
    """Shapes from left to right."""

    parts: tuple[Shape, ...]

    def __call__(self, rows: Sequence[Row], lived: Episodes) -> tuple[Row, ...]:
        """Every part is applied to what the part before made."""
        for part in self.parts:
            rows = part(rows, lived)
        return tuple(rows)


def context_of(row: Row, end: int) -> tuple[Message, ...]:
    """The messages before `end`, none of which trains."""
    return tuple(replace(message, weight=0.0) for message in row.messages[:end])


def _weight(message: Message, worth: float) -> float:
    if message.role != "assistant" or message.kind == "memory":
        return 0.0
    return worth if message.weight is None else message.weight


def _masked(message: Message) -> Message:
    is_wrong = message.role == "assistant" and message.ok is False
    return replace(message, weight=0.0) if is_wrong else message
