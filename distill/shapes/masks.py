"""Whole episodes, and parts of them that do not train.

The laws every shape keeps: memory and what the world said never train (but in the world model); what is
written by a shape, or comes from another episode than the row's own, has index -1; the order of an episode's
messages stays.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from distill.types import Episodes, Row, Select, Shape
from memory.types import Episode, Kind, Message, Span

_ASIDE: frozenset[Kind | None] = frozenset({"plan", "reflect", "critique"})


def trajectory(episode: Episode, credit: tuple[float, ...]) -> Row:
    """The whole episode as one row.

    A weight set by hand on a message takes the place of its credit. What a model said beside its turns and is
    told as a user's (plans, goals, critiques) keeps its credit for the shapes that give it back its words;
    `build` lets nobody but the assistant train.
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

    Source: STeP (self-reflected trajectories and partial masking, arXiv 2505.20023): d_i is 0 for an error or
    a step of no use, 1 for right steps, reflections and corrections. An act is wrong when it was found
    so (`ok` is False) or a verdict of the episode calls it an error; unknown counts as right.
    """

    def __call__(self, rows: Sequence[Row], lived: Episodes) -> tuple[Row, ...]:
        """Weight 0 on every assistant message that was wrong."""
        return tuple(_masked(row, errors_of(lived.get(row.episode))) for row in rows)


@dataclass(frozen=True, slots=True)
class MaskSpans:
    """What a model wrote between two marks is context: it is read, not learned.

    Source: SSRL (arXiv 2508.10874): the information that a model writes for itself carries no loss, though it
    is its own.
    """

    begin: str = "<information>"
    end: str = "</information>"

    def __call__(self, rows: Sequence[Row], _: Episodes) -> tuple[Row, ...]:
        """Spans of weight 0 on whatever stands between the marks, marks included."""
        between = re.compile(f"{re.escape(self.begin)}.*?(?:{re.escape(self.end)}|$)", re.DOTALL)
        return tuple(
            replace(row, messages=tuple(_spanned(message, between) for message in row.messages))
            for row in rows
        )


@dataclass(frozen=True, slots=True)
class ByKind:
    """Weights by what a message is: a stage that learns to follow plans, one that learns to make them.

    Source: PilotRL's three stages (arXiv 2508.00344), as tables.
    """

    weights: tuple[tuple[Kind, float], ...]
    """What each kind's weight is multiplied by; kinds that are left out are context."""

    def __call__(self, rows: Sequence[Row], _: Episodes) -> tuple[Row, ...]:
        """Each message's weight times its kind's."""
        table = dict(self.weights)
        return tuple(
            replace(
                row,
                messages=tuple(
                    replace(m, weight=(m.weight or 0.0) * (table.get(m.kind, 0.0) if m.kind else 0.0))
                    for m in row.messages
                ),
            )
            for row in rows
        )


@dataclass(frozen=True, slots=True)
class Steps:
    """One row per target: everything before it is context (prefix split)."""

    def __call__(self, rows: Sequence[Row], _: Episodes) -> tuple[Row, ...]:
        """As many rows as there are messages with weight."""
        return tuple(
            replace(row, messages=(*context_of(row, at), message), indices=row.indices[: at + 1])
            for row in rows
            for at, message in enumerate(row.messages)
            if message.weight and message.role == "assistant"
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


@dataclass(frozen=True, slots=True)
class Beside:
    """The rows of several shapes together."""

    parts: tuple[Shape, ...]

    def __call__(self, rows: Sequence[Row], lived: Episodes) -> tuple[Row, ...]:
        """Every part is applied to the same rows."""
        return tuple(row for part in self.parts for row in part(rows, lived))


@dataclass(frozen=True, slots=True)
class Among:
    """A shape of some of the episodes."""

    select: Select
    shape: Shape

    def __call__(self, rows: Sequence[Row], lived: Episodes) -> tuple[Row, ...]:
        """The shape sees the rows of selected episodes alone."""
        known = [lived[id_] for id_ in sorted({row.episode for row in rows} & lived.keys())]
        chosen = {episode.id for episode in self.select(known)}
        return self.shape([row for row in rows if row.episode in chosen], lived)


def context_of(row: Row, end: int) -> tuple[Message, ...]:
    """The messages before `end`, none of which trains."""
    return unweighted(row.messages[:end])


def unweighted(messages: Sequence[Message]) -> tuple[Message, ...]:
    """The same messages as context."""
    return tuple(replace(message, weight=0.0) for message in messages)


def is_aside(message: Message) -> bool:
    """Did a model say it beside its turns, so that it is told as a user's: a plan, a goal, a critique?"""
    return message.role == "user" and message.kind in _ASIDE


def errors_of(episode: Episode | None) -> frozenset[int]:
    """The messages that verdicts call errors."""
    told = () if episode is None else episode.verdicts
    return frozenset(one.message for one in told if one.verdict == "error")


def is_wrong(message: Message, index: int, errors: Collection[int]) -> bool:
    """Is it an act that was found wrong?"""
    return message.role == "assistant" and (message.ok is False or index in errors)


def _weight(message: Message, worth: float) -> float:
    if message.role == "assistant" and message.kind != "memory":
        return worth if message.weight is None else message.weight
    return worth if is_aside(message) else 0.0


def _masked(row: Row, errors: Collection[int]) -> Row:
    messages = tuple(
        replace(message, weight=0.0) if is_wrong(message, index, errors) else message
        for index, message in zip(row.indices, row.messages, strict=True)
    )
    return replace(row, messages=messages)


def _spanned(message: Message, between: re.Pattern[str]) -> Message:
    if message.role != "assistant" or not message.weight:
        return message
    spans = tuple(Span(found.start(), found.end(), 0.0) for found in between.finditer(message.text))
    return replace(message, spans=(*message.spans, *spans)) if spans else message
