"""Prompts without what memory told, or with what it told of something else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, replace
from hashlib import sha256

from agent.prompt import compose
from agent.types import Observation, Task
from distill.types import Episodes, Row
from memory.types import Episode, Message


@dataclass(frozen=True, slots=True)
class StripMemory:
    """The prompt without recalled items and principles: what they told must come from the weights.

    Source: context distillation (Snell et al. 2022, arXiv 2209.15189), here with the agent's own successes.
    """

    p: float = 1.0
    """Share of rows that are stripped; which ones is decided by a hash of their episode."""

    def __call__(self, rows: Sequence[Row], _: Episodes) -> tuple[Row, ...]:
        """Memory goes, and the calls that read it; a system message keeps what is no principle."""
        return tuple(_stripped(row) if _lot("strip", row.episode) < self.p else row for row in rows)


@dataclass(frozen=True, slots=True)
class OthersMemory:
    """The prompt with what was recalled for another task of the family.

    Memory is shown and tells of something else: what it told must come from the weights here too.

    Source: RAFT (arXiv 2403.10131), some of whose questions stand among distracting documents alone. Without
    such rows an adapter learns that what is not in the prompt is not known whenever there is memory in it.
    """

    def __call__(self, rows: Sequence[Row], lived: Episodes) -> tuple[Row, ...]:
        """Whose memory it is, is decided by a hash; where there is no other task, the row stays as it is."""
        shown = {row.episode: block for row in rows if (block := _block(row))}
        families: dict[str, dict[str, list[str]]] = {}
        for id_ in sorted(shown):
            tasks = families.setdefault(lived[id_].family, {})
            tasks.setdefault(lived[id_].task_id, []).append(id_)
        return tuple(
            _shown(row, other, shown[other])
            if row.episode in shown and (other := _other(lived[row.episode], families))
            else row
            for row in rows
        )


def _block(row: Row) -> tuple[Message, ...]:
    """What was recalled for the prompt; not what was looked up on the way."""
    begin = next((n for n, one in enumerate(row.messages) if one.role == "assistant"), len(row.messages))
    return tuple(one for one in row.messages[:begin] if one.kind == "memory")


def _other(episode: Episode, families: Mapping[str, Mapping[str, Sequence[str]]]) -> str:
    """An episode of another task of the family; empty where there is none."""
    tasks = families[episode.family]
    names = sorted(tasks.keys() - {episode.task_id})
    if not names:
        return ""
    ids = tasks[names[int(_lot("other task", episode.id) * len(names))]]
    return ids[int(_lot("other episode", episode.id) * len(ids))]


def _shown(row: Row, other: str, block: Sequence[Message]) -> Row:
    """The row without its memory but its principles, behind the block of another episode."""
    read = _read(row)
    begin = next(n for n, one in enumerate(row.messages) if one.kind == "memory")
    kept = [
        (index, without)
        for index, message in zip(row.indices, row.messages, strict=True)
        if (without := _without_reading(message, read)) is not None
    ]
    told = [*kept[:begin], *((-1, one) for one in block), *kept[begin:]]
    messages, indices = tuple(one for _, one in told), tuple(index for index, _ in told)
    return replace(row, messages=messages, indices=indices, also=(*row.also, other))


def _lot(what: str, episode: str) -> float:
    """In [0, 1), the same for the same episode."""
    return int(sha256(f"{what} {episode}".encode()).hexdigest()[:12], 16) / 16**12


def _stripped(row: Row) -> Row:
    read = _read(row)
    kept = [
        (index, stripped)
        for index, message in zip(row.indices, row.messages, strict=True)
        if (stripped := _without_memory(message, read)) is not None
    ]
    return replace(row, messages=tuple(m for _, m in kept), indices=tuple(index for index, _ in kept))


def _read(row: Row) -> Set[str | None]:
    """The calls that memory answered."""
    return {message.tool_call_id for message in row.messages if message.kind == "memory"} - {None}


def _without_memory(message: Message, read: Set[str | None]) -> Message | None:
    if message.role != "system":
        return _without_reading(message, read)
    bare = _bare_system()
    return replace(message, content=bare) if bare and message.text.startswith(bare) else None


def _without_reading(message: Message, read: Set[str | None]) -> Message | None:
    calls = tuple(call for call in message.tool_calls if call.id not in read)
    if message.kind == "memory" or (message.tool_calls and not calls):
        return None
    return replace(message, tool_calls=calls) if len(calls) < len(message.tool_calls) else message


def _bare_system() -> str:
    """The system text of the prompt for large models when memory is empty; small models have none."""
    task = Task(id="", text="", world="", family="")
    first = compose(task, Observation(""), None, None, "full")[0]
    return first.text if first.role == "system" else ""
