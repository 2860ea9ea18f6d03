"""Signals as reward functions of reinforcement learning: one definition of good for both."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from statistics import fmean
from typing import Any, TypeAlias, get_args

from distill.signals.stored import is_own
from distill.types import Signal
from memory.errors import BadInput
from memory.types import Episode, Kind, Message, Outcome, Role, ToolCall

Said: TypeAlias = str | Sequence[Mapping[str, Any]]
"""A prompt or a completion as TRL has it: text, or messages with `role` and `content`."""
RewardFunction: TypeAlias = Callable[..., list[float]]
End: TypeAlias = Callable[[Episode], Episode]
"""Says how a completion went: the episode with its outcome and reward."""
_COLUMNS = ("task_id", "task", "world", "family", "group")


def as_reward(signal: Signal, end: End | None = None) -> RewardFunction:
    """A signal as the reward function that TRL's GRPOTrainer calls.

    Each completion becomes an episode of its prompt; columns `task_id`, `task`, `world`, `family`, `group`,
    `outcome` and `reward` are read where the dataset has them. Completions of the same prompt are one group.
    Without these columns and without `end` the outcome is unknown, which is worth nothing to signals that go
    by it. Returns one number for each completion: the mean over the messages that it holds.

    The function raises BadInput on columns of another length and on roles that do not exist.
    """

    def reward(*, prompts: Sequence[Said], completions: Sequence[Said], **columns: Any) -> list[float]:
        if len(prompts) != len(completions):
            raise BadInput(f"{len(prompts)} prompts came with {len(completions)} completions")
        told = [_row(columns, place, len(prompts)) for place in range(len(prompts))]
        episodes = [
            _episode(f"{place:09d}", prompt, completion, row)
            for place, (prompt, completion, row) in enumerate(zip(prompts, completions, told, strict=True))
        ]
        if end is not None:
            episodes = [end(one) for one in episodes]
        credit = signal(episodes)
        begun = [len(_messages(prompt, "user")) for prompt in prompts]
        return [_mean(one, credit[one.id], start) for one, start in zip(episodes, begun, strict=True)]

    reward.__name__ = type(signal).__name__.lower()  # what TRL calls it in its logs
    return reward


def _mean(episode: Episode, credit: Sequence[float], start: int) -> float:
    own = [
        worth
        for message, worth in zip(episode.messages[start:], credit[start:], strict=True)
        if is_own(message)
    ]
    return fmean(own) if own else 0.0


def _row(columns: Mapping[str, Any], place: int, n: int) -> dict[str, Any]:
    """What the dataset says of one completion."""
    row: dict[str, Any] = {}
    for name in (*_COLUMNS, "outcome", "reward"):
        values = columns.get(name)
        if values is None:
            continue
        if len(values) != n:
            raise BadInput(f"column {name!r} has {len(values)} values for {n} completions")
        row[name] = values[place]
    return row


def _episode(id_: str, prompt: Said, completion: Said, row: Mapping[str, Any]) -> Episode:
    digest = hashlib.sha256(json.dumps(prompt, sort_keys=True, default=str).encode()).hexdigest()[:16]
    texts = {name: str(row[name]) for name in _COLUMNS if row.get(name) is not None}
    outcome: Outcome = row.get("outcome") or "unknown"
    if outcome not in get_args(Outcome):
        raise BadInput(f"column 'outcome' holds {outcome!r}; there are {', '.join(get_args(Outcome))}")
    worth = row.get("reward")
    begun = _messages(prompt, "user")
    task = texts.get("task") or next((one.text for one in reversed(begun) if one.role == "user"), "")
    task_id = texts.get("task_id") or digest
    return Episode(
        id=id_,
        namespace="",
        task_id=task_id,
        task=task,
        world=texts.get("world", ""),
        family=texts.get("family", ""),
        group=texts.get("group") or task_id,
        messages=(*begun, *_messages(completion, "assistant")),
        outcome=outcome,
        reward=None if worth is None else float(worth),
    )


def _messages(said: Said, role: Role) -> tuple[Message, ...]:
    if isinstance(said, str):
        return (Message(role, said, kind="task" if role == "user" else "answer"),)
    return tuple(_message(one) for one in said)


def _message(said: Mapping[str, Any]) -> Message:
    role: Any = said.get("role")
    if role not in get_args(Role):
        raise BadInput(f"a message has the role {role!r}; there are {', '.join(get_args(Role))}")
    calls = tuple(_call(one, place) for place, one in enumerate(said.get("tool_calls") or ()))
    spoken: Mapping[str, Kind] = {
        "assistant": "act" if calls else "answer",
        "tool": "observe",
        "user": "task",
    }
    text = str(said.get("content") or "")
    return Message(role, text, spoken.get(role), calls, said.get("tool_call_id"))


def _call(said: Mapping[str, Any], place: int) -> ToolCall:
    function = said.get("function", said)
    arguments = function.get("arguments") or {}
    if isinstance(arguments, str):
        try:
            arguments = json.loads(arguments)
        except json.JSONDecodeError:
            arguments = {"text": arguments}
    return ToolCall(str(said.get("id") or f"call{place:05d}"), str(function.get("name", "")), dict(arguments))
