"""Whose word the value of an argument is: the user's, a store's, or no better than the worst that was read.

What is derived has the least trust of its sources, so a value that nobody can place has the trust of the
whole context. Two things lift one above that: the user wrote it, or it stands as a whole field in the answer
of a store, where a sentence planted in a text cannot put it. Pure.
Source: trust by channel as in `memory.types.TRUST`. That an argument's origin decides is the idea of
information-flow control for agents (CaMeL, arXiv 2503.18813; FIDES, arXiv 2505.23643); ours looks values up
in what was answered, and tracks nothing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from agent.types import GuardContext
from memory.types import TRUST, Json, Message, ToolCall

_CONTENT = (
    "body comment comments content contents description message messages note notes review reviews "
    "subject summary text title"
)
CONTENT = frozenset(_CONTENT.split())
"""Fields that hold what people write freely; no value is taken from one as a whole."""
_SHORT = 2
"""Characters that a value needs to be found inside of a text."""
_EDGE = r"(?<![\w@]){}(?![\w@]|[.\-]\w*@)"


@dataclass(frozen=True, slots=True)
class Answer:
    """One call that was answered before."""

    call: ToolCall
    message: Message


def answers(messages: Sequence[Message]) -> tuple[Answer, ...]:
    """The calls that were carried out, with their answers; refused and failed ones are left out."""
    calls = {call.id: call for message in messages for call in message.tool_calls}
    return tuple(
        Answer(calls[message.tool_call_id], message)
        for message in messages
        if message.role == "tool" and message.tool_call_id in calls and message.ok is not False
    )


def trust_of(value: Json, context: GuardContext, stores: Collection[str]) -> int:
    """The trust of a value that a call carries; of a list or object, that of its worst part.

    4: nothing is said (null, true, false). 3: the user wrote it. 2: a whole field of a store's answer. 1:
    within the text of such an answer, where the user's own words had pointed at it. Never less than the trust
    of all that is in context. `stores` are the tools whose answers are laid out by programs of ours.
    """
    parts = tuple(_leaves(value))
    return min((_trust_of_one(str(part), context, stores) for _, part in parts), default=TRUST["operator"])


def is_said(value: str, text: str) -> bool:
    """Does a text hold the value, in whatever case, as words of their own?

    >>> is_said("ann@x.org", "Write to Ann@x.org."), is_said("x.org", "Write to ann@x.org.")
    (True, False)
    """
    wanted = value.strip()
    return bool(wanted) and re.search(_EDGE.format(re.escape(wanted)), text, re.IGNORECASE) is not None


def _trust_of_one(value: str, context: GuardContext, stores: Collection[str]) -> int:
    said = context.task.text if context.task is not None else ""
    if is_said(value, said):
        return max(TRUST["user"], context.trust)
    best = context.trust
    for answer in answers(context.messages):
        if answer.call.name not in stores or best >= TRUST["tool"]:
            continue
        if value in _fields(answer.message.text) and not _carries(answer.call, value):
            best = TRUST["tool"]
        elif best < TRUST["reflection"] and len(value) >= _SHORT and _is_pointed_at(answer.call, said):
            best = TRUST["reflection"] if is_said(value, answer.message.text) else best
    return best


def _carries(call: ToolCall, value: str) -> bool:
    """Did the call bring the value along? An echo is nobody's word."""
    return any(str(part) == value for _, part in _leaves(call.arguments))


def _is_pointed_at(call: ToolCall, said: str) -> bool:
    return any(len(str(part)) >= _SHORT and is_said(str(part), said) for _, part in _leaves(call.arguments))


def _fields(text: str) -> frozenset[str]:
    """The whole values of an answer that is a JSON object or list, but for what people wrote freely."""
    try:
        value = json.loads(text)
    except ValueError:
        return frozenset()
    if not isinstance(value, dict | list):
        return frozenset()
    return frozenset(str(leaf) for key, leaf in _leaves(value) if key.lower() not in CONTENT)


def _leaves(value: object, key: str = "") -> Iterator[tuple[str, str | int | float]]:
    """Every text and number in a value, with the name of the field it stands in."""
    match value:
        case None | bool():
            return
        case str() | int() | float():
            yield key, value
        case Mapping():
            for name, inner in value.items():
                yield from _leaves(inner, str(name))
        case Sequence():
            for inner in value:
                yield from _leaves(inner, key)
