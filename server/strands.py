"""Lines of conversation inside one episode: which one a request goes on with, and what is new in it. Pure.

Whoever sends a whole conversation again sends what the episode holds already. The last answer in it that is
the episode's own says where the request goes on; what stands behind that answer is its news, and all that is
kept. What a client left out, cut short or reworded of the time before is shown to the model as it was sent,
and stays in the episode as it was said.

A line bears a name, `Message.agent`. The first is the agent's own; another begins where a request holds no
answer of the episode (a helper of the client's, or a prompt made afresh for every call), or goes on from an
answer that has been gone on from before (the same again, or another way).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from memory.types import Episode, Image, Message
from memory.writing.redaction import without_secrets

MAIN = "agent"
"""The first line's name, which is also what messages bear that have no other."""
OURS = "apprentice"
"""`Message.agent` of what memory says at the beginning of a line."""


@dataclass(frozen=True, slots=True)
class Strand:
    """Where a request stands in an episode."""

    name: str
    ours: tuple[Message, ...]
    """What memory said at the beginning of the line."""
    news: tuple[Message, ...]
    """What the episode does not hold yet."""
    is_new: bool
    """Memory has not been asked for it yet."""


def strand_of(kept: Episode | None, asked: Sequence[Message]) -> Strand:
    """The line that a conversation belongs to, in an episode as it stands."""
    if kept is None:
        return Strand(MAIN, (), tuple(asked), True)
    clean = without_secrets(replace(kept, messages=tuple(asked))).messages
    for place in range(len(clean) - 1, -1, -1):
        found = _found(kept.messages, clean, place)
        if found is not None:
            name = kept.messages[found].agent
            is_last = all(one.agent != name for one in kept.messages[found + 1 :])
            news = tuple(asked[place + 1 :])
            return Strand(name if is_last else _fresh(kept, f"{name}."), _ours(kept, name), news, False)
    return Strand(_fresh(kept, f"{MAIN} "), (), tuple(asked), True)


def told(strand: Strand, answer: Message) -> tuple[Message, ...]:
    """What the episode is to hold of a request and its answer, under the line's name.

    Only the first line trains weights: what the others were shown is not what stands before them here.
    """
    seen = (_kinds(one, is_opening=strand.is_new) for one in strand.news)
    weight = answer.weight if strand.name == MAIN else 0.0
    ours = (replace(one, agent=OURS) for one in strand.ours if strand.is_new)
    return (
        *ours,
        *(replace(one, agent=strand.name) for one in seen),
        replace(answer, agent=strand.name, weight=weight),
    )


def news_of(asked: Sequence[Message]) -> tuple[Message, ...]:
    """What a client adds after the last answer it was given."""
    last = max((place for place, one in enumerate(asked) if one.role == "assistant"), default=-1)
    return tuple(asked[last + 1 :])


def with_pictures(kept: Sequence[Message], asked: Sequence[Message]) -> tuple[Message, ...]:
    """What an episode holds, with the pictures that it only names and the client sends again."""
    sent = {part.kept: part for message in asked for part in message.content if isinstance(part, Image)}

    def whole(message: Message) -> Message:
        if isinstance(message.content, str):
            return message
        parts = (sent.get(part, part) if isinstance(part, Image) else part for part in message.content)
        return replace(message, content=tuple(parts))

    return tuple(map(whole, kept))


def short_ids(asked: Sequence[Message]) -> tuple[Message, ...]:
    """Call ids as models may see them: nine letters and digits, the one form every provider takes."""
    made = [call.id for message in asked for call in message.tool_calls]
    short = {call_id: f"call{number:05d}" for number, call_id in enumerate(dict.fromkeys(made))}
    return tuple(
        replace(
            message,
            tool_calls=tuple(replace(call, id=short[call.id]) for call in message.tool_calls),
            tool_call_id=short.get(message.tool_call_id or "", message.tool_call_id),
        )
        for message in asked
    )


def _found(kept: Sequence[Message], asked: Sequence[Message], place: int) -> int | None:
    """The place in the episode of an answer that a client sends again; of equal ones, that which answers the
    same, and the latest.
    """
    answer = asked[place]
    if answer.role != "assistant" or not _said(answer):
        return None
    places = [at for at, one in enumerate(kept) if one.role == "assistant" and _said(one) == _said(answer)]
    before = asked[place - 1].text if place else None
    alike = [at for at in places if at and kept[at - 1].text == before]
    return max(alike or places, default=None)


def _said(answer: Message) -> tuple[str, ...]:
    """What an answer is known by: its calls, whose ids are ours alone, or its words."""
    return tuple(call.id for call in answer.tool_calls) or tuple(answer.text.split())


def _ours(kept: Episode, name: str) -> tuple[Message, ...]:
    """What memory said at the beginning of a line, or of the one that it branched off."""
    root = name.partition(".")[0]
    first = next(place for place, one in enumerate(kept.messages) if one.agent == root)
    start = first
    while start and kept.messages[start - 1].agent == OURS:
        start -= 1
    return kept.messages[start:first]


def _fresh(kept: Episode, stem: str) -> str:
    names = {one.agent for one in kept.messages}
    return next(name for n in range(2, len(names) + 3) if (name := f"{stem}{n}") not in names)


def _kinds(message: Message, *, is_opening: bool) -> Message:
    """What a tool answers, and what is said once the work has begun, can be learned from as seen."""
    is_seen = message.role == "tool" or (message.role == "user" and not is_opening)
    return replace(message, kind="observe") if is_seen else message
