"""Prompts without what memory told."""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import dataclass, replace
from hashlib import sha256

from agent.prompt import compose
from agent.types import Observation, Task
from distill.types import Episodes, Row
from memory.types import Message


@dataclass(frozen=True, slots=True)
class StripMemory:
    """The prompt without recalled items and principles: what they told must come from the weights.

    Source: context distillation (Snell et al. 2022, arXiv 2209.15189), here with the agent's own successes.
    """

    p: float = 1.0
    """Share of rows that are stripped; which ones is decided by a hash of their episode."""

    def __call__(self, rows: Sequence[Row], _: Episodes) -> tuple[Row, ...]:
        """Memory goes, and the calls that read it; a system message keeps what is no principle."""
        return tuple(_stripped(row) if _lot(row.episode) < self.p else row for row in rows)


def _lot(episode: str) -> float:
    """In [0, 1), the same for the same episode."""
    return int(sha256(f"strip {episode}".encode()).hexdigest()[:12], 16) / 16**12


def _stripped(row: Row) -> Row:
    read = {message.tool_call_id for message in row.messages if message.kind == "memory"} - {None}
    kept = [
        (index, stripped)
        for index, message in zip(row.indices, row.messages, strict=True)
        if (stripped := _without_memory(message, read)) is not None
    ]
    return replace(row, messages=tuple(m for _, m in kept), indices=tuple(index for index, _ in kept))


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
