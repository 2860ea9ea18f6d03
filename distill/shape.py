"""What of an episode is context and what is target.

A shape takes a row and returns rows. The laws every shape keeps: only assistant messages have weight; weights
never grow; the messages of a result occur in its source in the same order.
"""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass, replace

from agent.prompt import compose
from agent.types import Observation, Task
from distill.types import Row, Shape
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
    """The row as it is."""

    def __call__(self, row: Row) -> tuple[Row, ...]:
        """Nothing changes."""
        return (row,)


@dataclass(frozen=True, slots=True)
class MaskErrors:
    """Wrong acts become context: what the agent did about them is still learned.

    Source: STeP (self-reflected trajectories and partial masking, arXiv 2505.20023): "error" steps carry no
    loss, later ones do. Here an act is wrong when the world said so (`ok` is False); unknown counts as right.
    """

    def __call__(self, row: Row) -> tuple[Row, ...]:
        """Weight 0 on every assistant message that the world refused."""
        return (replace(row, messages=tuple(_masked(message) for message in row.messages)),)


@dataclass(frozen=True, slots=True)
class StripMemory:
    """The prompt without recalled items and principles: what they told must come from the weights.

    Source: context distillation (Snell et al. 2022, arXiv 2209.15189), here with the agent's own successes.
    """

    def __call__(self, row: Row) -> tuple[Row, ...]:
        """Memory goes, and the calls that read it; a system message keeps what is no principle."""
        read = {message.tool_call_id for message in row.messages if message.kind == "memory"} - {None}
        kept = [
            (index, stripped)
            for index, message in zip(row.indices, row.messages, strict=True)
            if (stripped := _without_memory(message, read)) is not None
        ]
        return (replace(row, messages=tuple(m for _, m in kept), indices=tuple(index for index, _ in kept)),)


@dataclass(frozen=True, slots=True)
class Steps:
    """One row per target: everything before it is context (prefix split)."""

    def __call__(self, row: Row) -> tuple[Row, ...]:
        """As many rows as there are messages with weight."""
        rows: list[Row] = []
        for at, message in enumerate(row.messages):
            if message.weight:
                context = tuple(replace(earlier, weight=0.0) for earlier in row.messages[:at])
                rows.append(replace(row, messages=(*context, message), indices=row.indices[: at + 1]))
        return tuple(rows)


@dataclass(frozen=True, slots=True)
class Chain:
    """Shapes from left to right."""

    parts: tuple[Shape, ...]

    def __call__(self, row: Row) -> tuple[Row, ...]:
        """Every part is applied to every row of the part before."""
        rows: tuple[Row, ...] = (row,)
        for part in self.parts:
            rows = tuple(shaped for one in rows for shaped in part(one))
        return rows


def _weight(message: Message, worth: float) -> float:
    if message.role != "assistant" or message.kind == "memory":
        return 0.0
    return max(0.0, worth if message.weight is None else message.weight)


def _masked(message: Message) -> Message:
    is_wrong = message.role == "assistant" and message.ok is False
    return replace(message, weight=0.0) if is_wrong else message


def _without_memory(message: Message, read: Set[str | None]) -> Message | None:
    calls = tuple(call for call in message.tool_calls if call.id not in read)
    if message.kind == "memory" or (message.tool_calls and not calls):
        return None
    if len(calls) < len(message.tool_calls):
        return replace(message, tool_calls=calls)
    if message.role != "system":
        return message
    bare = _bare_system()
    return replace(message, content=bare) if bare and message.text.startswith(bare) else None


def _bare_system() -> str:
    """The system text of the prompt for large models when memory is empty; small models have none."""
    task = Task(id="", text="", world="", family="")
    first = compose(task, Observation(""), None, None, "full")[0]
    return first.text if first.role == "system" else ""
