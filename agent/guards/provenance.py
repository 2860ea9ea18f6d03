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


def trust_of(value: Json, context: GuardContext, stores: Collection[str], texts: Collection[str] = ()) -> int:
    """The trust of a value that a call carries; of a list or object, that of its worst part.

    4: nothing is said (null, true, false). 3: the user wrote it. 2: a whole field of a store's answer. 1:
    within the answer of a store or a text, where the user's own words had pointed at it. Never less than the
    trust of all that is in context. `stores` are the tools whose answers are laid out by programs of ours,
    `texts` those that fetch what the user keeps.
    """
    said = context.task.text if context.task is not None else ""
    known = tuple(one for one in answers(context.messages) if one.call.name in {*stores, *texts})
    parts = tuple(str(part) for _, part in _leaves(value))
    floor = min((_lent(part, said, known, stores) for part in parts), default=TRUST["operator"])
    return max(floor, context.trust)


def is_said(value: str, text: str) -> bool:
    """Does a text hold the value, in whatever case, as words of their own?

    >>> is_said("ann@x.org", "Write to Ann@x.org."), is_said("x.org", "Write to ann@x.org.")
    (True, False)
    """
    wanted = value.strip()
    return bool(wanted) and re.search(_EDGE.format(re.escape(wanted)), text, re.IGNORECASE) is not None


def _lent(value: str, said: str, known: Sequence[Answer], stores: Collection[str]) -> int:
    """What the places where a value stands lend it."""
    if is_said(value, said):
        return TRUST["user"]
    fields = (one for one in known if one.call.name in stores and not _carries(one.call, value))
    if any(value in _fields(one.message.text) for one in fields):
        return TRUST["tool"]
    pointed = any(is_said(value, text) for one in known for text in _pointed_at(one, said))
    return TRUST["reflection" if pointed and len(value) >= _SHORT else "external"]


def _carries(call: ToolCall, value: str) -> bool:
    """Did the call bring the value along? An echo is nobody's word."""
    return any(str(part) == value for _, part in _leaves(call.arguments))


def _pointed_at(answer: Answer, said: str) -> Iterator[str]:
    """What of an answer the user's words point at: the records that they name, or a text they asked for."""
    value = _json(answer.message.text)
    if value is None:
        asked = (str(part) for _, part in _leaves(answer.call.arguments))
        if any(_is_named(part, said) for part in asked):
            yield answer.message.text
        return
    for record in value if isinstance(value, list) else [value]:
        fields = (str(part) for key, part in _leaves(record) if key.lower() not in CONTENT)
        if any(_is_named(part, said) for part in fields):
            yield "\n".join(str(part) for _, part in _leaves(record))


def _is_named(name: str, said: str) -> bool:
    """Did the user write a name? Of a file's name its words will do.

    >>> _is_named("team-minutes.docx", "Read the team minutes."), _is_named("3", "Read page 3.")
    (True, False)
    """
    words = re.sub(r"[-_]+", " ", re.sub(r"\.\w{2,4}$", "", name))
    return len(words) > _SHORT and not words.isnumeric() and (is_said(name, said) or is_said(words, said))


def _fields(text: str) -> frozenset[str]:
    """The whole values of an answer that is a JSON object or list, but for what people wrote freely."""
    leaves = _leaves(_json(text))
    return frozenset(str(leaf) for key, leaf in leaves if key.lower() not in CONTENT)


def _json(text: str) -> dict[str, Json] | list[Json] | None:
    try:
        value = json.loads(text)
    except ValueError:
        return None
    return value if isinstance(value, dict | list) else None


def _leaves(value: object, key: str = "") -> Iterator[tuple[str, str | int | float]]:
    """Every text and number in a value with the name of its field; a name that is none is a value too."""
    match value:
        case None | bool():
            return
        case str() | int() | float():
            yield key, value
        case Mapping():
            for name, inner in value.items():
                if not str(name).isidentifier():
                    yield "", str(name)
                yield from _leaves(inner, str(name))
        case Sequence():
            for inner in value:
                yield from _leaves(inner, key)
