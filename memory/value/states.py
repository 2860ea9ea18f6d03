"""A task in the middle, in words: what is to be done, what was done, what was seen last. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from memory.types import Message, ToolCall


@dataclass(frozen=True, slots=True)
class Acted:
    """One call of an episode, in the state it was made in."""

    message: int
    state: str
    action: str
    ok: bool | None
    """What was said of it: by whoever judged the message, or else by the world's answer."""
    call: str
    """Id of the call."""


def action_of(call: ToolCall) -> str:
    """A call in one line: the command of a text world, else the tool and its arguments as JSON."""
    if set(call.arguments) == {"command"}:
        return str(call.arguments["command"])
    return f"{call.name} {json.dumps(call.arguments, sort_keys=True)}"


def state_of(task: str, messages: Sequence[Message]) -> str:
    """The state after these messages, for a question like `what paid here`.

    Of what was done only its kinds count, the first words of actions that were not refused: near states are
    those of like progress, wherever things were.
    """
    return _walk(task, messages)[0]


def acted(task: str, messages: Sequence[Message]) -> tuple[Acted, ...]:
    """The calls of an episode in order; a message with several makes as many, under one place."""
    return _walk(task, messages)[1]


def _walk(task: str, messages: Sequence[Message]) -> tuple[str, tuple[Acted, ...]]:
    answers = {m.tool_call_id: m for m in messages if m.role == "tool" and m.tool_call_id}
    done: list[str] = []
    seen = ""
    found: list[Acted] = []
    for place, message, call in _calls(messages):
        answer = answers.get(call.id)
        if answer is not None and answer.kind == "memory":
            continue  # reading what was recalled is no step in the world
        ok = message.ok if message.ok is not None or answer is None else answer.ok
        action = action_of(call)
        found.append(Acted(place, _worded(task, done, seen), action, ok, call.id))
        if answer is not None:
            seen = answer.text
        if answer is None or answer.ok is not False:
            done.append(f"did{action.partition(' ')[0]}")
    return _worded(task, done, seen), tuple(found)


def _worded(task: str, done: Sequence[str], seen: str) -> str:
    return " ".join([task, *done, seen]).strip()


def _calls(messages: Sequence[Message]) -> Iterator[tuple[int, Message, ToolCall]]:
    for place, message in enumerate(messages):
        if message.role == "assistant":
            for call in message.tool_calls:
                yield place, message, call
