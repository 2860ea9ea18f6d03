"""The neuro-symbolic builder: counters propose with statistics, a model words and merges.

Numbers and evidence are the counters' alone; a wording that says something else is not taken.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace

from agent.builders.ops import Built, Window
from agent.builders.patterns import Pattern
from agent.builders.settings import MineSettings
from agent.builders.symbolic import operations, spanning
from agent.builders.wording import held_as, is_faithful, read_of
from agent.models.schema import Unreadable, extract_json, first_violation
from agent.prompt import parse_reflection, reflection_text, transcript
from agent.types import Model, Request
from memory.codec import from_json
from memory.errors import BadInput, ModelError
from memory.types import Episode, Json, Message, Usage

_ROW: dict[str, Json] = {
    "type": "object",
    "properties": {
        "candidates": {"type": "array", "items": {"type": "string"}, "minItems": 1},
        "text": {"type": "string"},
    },
    "required": ["candidates", "text"],
    "additionalProperties": False,
}
WORDINGS_SCHEMA: dict[str, Json] = {
    "type": "object",
    "properties": {"principles": {"type": "array", "items": _ROW}},
    "required": ["principles"],
    "additionalProperties": False,
}
"""What a large model answers."""
_ASK = """Counters found regularities in what an agent did. Put them into clear principles, one imperative
sentence each. Merge those that say the same by naming several candidates. Change no meaning, no name, no
number; add nothing. A candidate that you do not name stays in its own words."""
_SHOWN = 3
"""Lines of evidence shown with a candidate."""


async def propose(window: Window, model: Model, mining: MineSettings, *, max_tokens: int) -> Built:
    """The counters' principles in the model's words; those held already keep their words.

    Without anything new to word the model is not asked.

    One call of a large model, one a candidate of a small one. Never raises for what a model says.
    """
    found = spanning(window.episodes, mining)
    new = [one for one in found if held_as(one, window) is None]
    ask = _one_by_one if model.style == "plain" else _together
    worded, rejected, usage, error = (
        await ask(new, window, model, max_tokens) if new else ((), (), Usage(), None)
    )
    made = [
        *((one, False) for one in found if not _is_taken(one, worded)),
        *((one, True) for _, one in worded),
    ]
    changes = operations(made, window)
    return Built(changes, rejected, usage, error)


_Worded = tuple[tuple[tuple[Pattern, ...], Pattern], ...]
"""Candidates, and what they have become together."""
_Answer = tuple[_Worded, tuple[str, ...], Usage, str | None]


def _is_taken(pattern: Pattern, worded: _Worded) -> bool:
    return any(pattern in parts for parts, _ in worded)


async def _together(found: Sequence[Pattern], window: Window, model: Model, max_tokens: int) -> _Answer:
    asked = "\n".join(_line(f"C{number}", one, window) for number, one in enumerate(found, 1))
    messages = (Message("system", _ASK), Message("user", asked))
    try:
        (reply,) = await model.complete(Request(messages, schema=WORDINGS_SCHEMA, max_tokens=max_tokens))
    except (ModelError, BadInput) as error:
        return (), (), Usage(), str(error)
    try:
        rows = _rows(reply.message.text)
    except Unreadable as error:
        return (), (), reply.usage, str(error)
    named = {f"C{number}": one for number, one in enumerate(found, 1)}
    worded: list[tuple[tuple[Pattern, ...], Pattern]] = []
    rejected: list[str] = []
    for row in rows:
        made = _worded(row, named, window)
        if isinstance(made, str):
            rejected.append(made)
        else:
            worded.append(made)
            named = {name: one for name, one in named.items() if one not in made[0]}
    return tuple(worded), tuple(rejected), reply.usage, None


def _rows(text: str) -> list[Json]:
    match extract_json(text):
        case {"principles": list(rows), **others} if not others:
            return rows
    raise Unreadable("the answer is not an object with `principles` alone")


@dataclass(frozen=True, slots=True)
class _Row:
    """One principle as a model words it."""

    candidates: tuple[str, ...]
    text: str


def _worded(
    row: Json, named: dict[str, Pattern], window: Window
) -> tuple[tuple[Pattern, ...], Pattern] | str:
    """The candidates of a row in its words, or why not. Each may be used once."""
    fault = first_violation(row, _ROW)
    if fault is not None:
        return fault
    said = from_json(_Row, row)
    text = said.text.strip()
    missing = [name for name in said.candidates if name not in named]
    if missing:
        return f"there is no candidate {missing[0]!r} left"
    parts = tuple(named[name] for name in dict.fromkeys(said.candidates))
    if len({(one.family, one.tier) for one in parts}) > 1:
        return f"{text!r} merges what holds for different families"
    if not is_faithful(text, [one.text for one in parts], read_of(parts, window)):
        return f"{text!r} does not say what was counted"
    return parts, _joined(parts, text)


async def _one_by_one(found: Sequence[Pattern], window: Window, model: Model, max_tokens: int) -> _Answer:
    """A small model reflects on the lines of the evidence alone."""
    worded: list[tuple[tuple[Pattern, ...], Pattern]] = []
    rejected: list[str] = []
    usage = Usage()
    for pattern in found:
        episode = _first(pattern, window)
        lines = [line for line in transcript(episode.messages) if line[0] in _around(pattern, episode)]
        said = reflection_text(episode.outcome, episode.task, lines)
        try:
            (reply,) = await model.complete(Request((Message("user", said),), max_tokens=max_tokens))
        except (ModelError, BadInput) as error:
            return tuple(worded), tuple(rejected), usage, str(error)
        usage += reply.usage
        rules = [one.text for one in parse_reflection(reply.message.text, episode) if one.kind == "rule"]
        read = read_of((pattern,), window)
        kept = [text for text in rules if is_faithful(text, [pattern.text], read)]
        rejected += [f"{text!r} does not say what was counted" for text in rules if text not in kept]
        if kept:
            worded.append(((pattern,), _joined((pattern,), kept[0])))
    return tuple(worded), tuple(rejected), usage, None


def _joined(parts: tuple[Pattern, ...], text: str) -> Pattern:
    """Several patterns as one: all their evidence, the least of their shares."""
    if len(parts) == 1:
        return replace(parts[0], text=text)
    shares = [one.confidence for one in parts if one.confidence is not None]
    return replace(
        parts[0],
        text=text,
        evidence=tuple(dict.fromkeys(piece for one in parts for piece in one.evidence)),
        against=tuple(dict.fromkeys(piece for one in parts for piece in one.against)),
        confidence=min(shares, default=None),
    )


def _line(name: str, pattern: Pattern, window: Window) -> str:
    share = "" if pattern.confidence is None else f", {pattern.confidence:.0%} of its occasions agree"
    counted = f"seen in {pattern.support} episodes, {len(pattern.against)} times the opposite{share}"
    shown = json.dumps(read_of((pattern,), window, _SHOWN), ensure_ascii=False)
    return f"{name} ({pattern.name}; {counted}): {pattern.text} Evidence: {shown}"


def _around(pattern: Pattern, episode: Episode) -> set[int]:
    own = [piece.message for piece in pattern.evidence if piece.episode == episode.id]
    return {index for message in own for index in (message - 1, message)}


def _first(pattern: Pattern, window: Window) -> Episode:
    return _episode(pattern.evidence[0].episode, window)


def _episode(name: str, window: Window) -> Episode:
    return next(one for one in window.episodes if one.id == name)
