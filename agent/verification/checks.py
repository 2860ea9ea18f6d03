"""What can be checked of an episode without a model: four dimensions, each a pure function.

Source: the dimensions are those of MUSE's reflect agent (arXiv 2510.08002); the rules are ours.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from agent.types import ANSWER_TOOL, Task, ToolSpec
from agent.verification.outcomes import Finding
from agent.words import content_words, numbered_names
from memory.types import Episode, Message, ToolCall

_NUMBER = re.compile(r"\d+(?:\.\d+)?")
_QUOTED = re.compile(r"[\"“]([^\"”]+)[\"”]")
_ADMITS = re.compile(
    r"\b(?:not|no|never|cannot|can't|couldn't|didn't|failed|unable|refused)\b", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Act:
    """A call and its answer."""

    place: int
    call: ToolCall
    said: str
    ok: bool | None


@dataclass(frozen=True, slots=True)
class Evidence:
    """An episode as its checks read it."""

    task: Task
    answer: str | None
    answered_at: int | None
    """Place of the answer among the messages."""
    acts: tuple[Act, ...]
    seen: str
    """All that was observed."""
    read_only: frozenset[str]
    """Tools that change nothing."""


def evidence_of(episode: Episode, task: Task, tools: Sequence[ToolSpec]) -> Evidence:
    """What was done, seen and claimed in an episode."""
    replies = {one.tool_call_id: one for one in episode.messages if one.role == "tool"}
    acts = tuple(_acts(episode.messages, replies))
    answers = [act for act in acts if act.call.name == ANSWER_TOOL]
    spoken = [(i, m.text) for i, m in enumerate(episode.messages) if m.kind == "answer"]
    if answers:
        spoken = [(answers[-1].place, str(answers[-1].call.arguments.get("answer", "")))]
    # A run in parts answers after each; the last is what counts.
    at, answer = spoken[-1] if spoken else (None, None)
    observed = [m.text for m in episode.messages if m.kind == "observe"]
    return Evidence(
        task,
        answer,
        at,
        tuple(act for act in acts if act.call.name != ANSWER_TOOL),
        "\n".join(observed),
        frozenset(tool.name for tool in tools if tool.read_only),
    )


def authenticity(evidence: Evidence) -> str | None:
    """Every number, numbered name and quotation of the answer was seen or asked for."""
    if evidence.answer is None:
        return None
    known = f"{evidence.task.text}\n{evidence.seen}"
    names = numbered_names(evidence.answer) - numbered_names(known)
    invented = sorted(" ".join(name) for name in names)
    numbers = set(_NUMBER.findall(evidence.answer)) - set(_NUMBER.findall(known))
    quoted = [text for text in _QUOTED.findall(evidence.answer) if text.lower() not in known.lower()]
    missing = [*invented, *sorted(numbers), *quoted]
    return f"nobody ever saw {missing[0]!r}" if missing else None


def process(evidence: Evidence) -> str | None:
    """An answer that admits no failure does not stand on a last step that failed."""
    if evidence.answer is None or _ADMITS.search(evidence.answer):
        return None
    before = [act for act in evidence.acts if act.place < (evidence.answered_at or 0)]
    if before and before[-1].ok is False:
        return f"the last step failed: {before[-1].said!r}"
    return None


def deliverable(evidence: Evidence) -> str | None:
    """Names with a number that the task asks for were acted on, seen or answered with."""
    done = [str(value) for act in evidence.acts for value in act.call.arguments.values()]
    told = "\n".join([*done, evidence.seen, evidence.answer or ""])
    missing = sorted(numbered_names(evidence.task.text) - numbered_names(told))
    return f"nothing was done about {' '.join(missing[0])!r}" if missing else None


def integrity(evidence: Evidence) -> str | None:
    """Nothing is changed after the answer, and no refused change is counted as done."""
    writes = [act for act in evidence.acts if act.call.name not in evidence.read_only]
    if evidence.answered_at is not None:
        late = [act for act in writes if act.place >= evidence.answered_at and act.ok]
        if late:
            return f"{late[0].call.name!r} changed something after the answer"
    if evidence.answer is None or _ADMITS.search(evidence.answer):
        return None
    done = [act.call.arguments for act in writes if act.ok]
    claimed = set(content_words(evidence.answer))
    for act in writes:
        named = set(content_words(" ".join(map(str, act.call.arguments.values()))))
        if act.ok is False and named and named <= claimed and act.call.arguments not in done:
            return f"{act.call.name!r} was refused and is counted as done"
    return None


def findings(evidence: Evidence) -> tuple[Finding, ...]:
    """What does not hold, by dimension."""
    found = [
        None if (reason := authenticity(evidence)) is None else Finding("authenticity", reason),
        None if (reason := process(evidence)) is None else Finding("process", reason),
        None if (reason := deliverable(evidence)) is None else Finding("deliverable", reason),
        None if (reason := integrity(evidence)) is None else Finding("integrity", reason),
    ]
    return tuple(one for one in found if one is not None)


def _acts(messages: Sequence[Message], replies: dict[str | None, Message]) -> Iterator[Act]:
    for place, message in enumerate(messages):
        for call in message.tool_calls:
            reply = replies.get(call.id)
            if reply is not None and reply.kind == "memory":
                continue  # reading what was recalled does nothing to the world
            yield Act(place, call, reply.text if reply else "", reply.ok if reply else None)
