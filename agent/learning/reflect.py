"""One finished episode to drafts for memory: a case of what was found out, principles of what to do.

Every lesson cites messages, and counts only when their words bear it out. Recalled text, the system
message and outcomes nobody knows are never learned from. Where the model has nothing usable to say,
counters over the log speak instead (agent.builders.facts).
Source: cases after Memento (arXiv 2508.16153), principles with evidence after OmniReflect (arXiv
2506.17449); the check of evidence against words is ours.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

from agent.builders.facts import cause, lessons
from agent.builders.steps import steps
from agent.learning.support import is_supported
from agent.prompt import LESSONS_SCHEMA, Lesson, parse_reflection, reflection_request
from agent.types import Model, Request, Style
from memory.errors import BadInput, ModelError
from memory.types import (
    CaseBody,
    Draft,
    Episode,
    Evidence,
    Lineage,
    PrincipleBody,
    Usage,
)

_SHARE = {"plain": 1.0, "full": 0.6}
"""Share of a lesson's content words that must stand in what it cites: large models paraphrase."""
Source = Literal["model", "miner", "none"]


@dataclass(frozen=True, slots=True)
class Reflection:
    """What an episode teaches."""

    drafts: tuple[Draft, ...] = ()
    rejected: int = 0
    """Lessons whose evidence does not exist or does not bear them out."""
    source: Source = "none"
    usage: Usage = field(default_factory=Usage)
    error: str | None = None
    """Why the model had no say."""


async def reflect(episode: Episode, model: Model, style: Style, *, max_tokens: int = 512) -> Reflection:
    """One model call. An outcome of `unknown` or `infra` gives no drafts and makes no call."""
    if episode.outcome not in {"success", "failure"}:
        return Reflection()
    said, usage, error = await _ask(episode, model, style, max_tokens)
    kept = tuple(lesson for lesson in said if is_supported(lesson, episode, _SHARE[style]))
    rejected = len(said) - len(kept)
    if kept:
        return Reflection(drafts(episode, kept, "neural"), rejected, "model", usage, error)
    mined = lessons(episode)
    return Reflection(drafts(episode, mined, "symbolic"), rejected, "miner", usage, error)


def drafts(
    episode: Episode, lessons: Iterable[Lesson], builder: Literal["neural", "symbolic"]
) -> tuple[Draft, ...]:
    """One case with the facts, one principle per rule. A success without facts is a case by its plan."""
    lessons = tuple(lessons)
    facts = {lesson.text: lesson for lesson in lessons if lesson.kind == "fact"}
    rules = {lesson.text: lesson for lesson in lessons if lesson.kind == "rule"}
    made = [_principle(episode, rule, builder) for rule in rules.values()]
    case = _case(episode, tuple(facts.values()))
    return (case, *made) if case else tuple(made)


async def _ask(
    episode: Episode, model: Model, style: Style, max_tokens: int
) -> tuple[tuple[Lesson, ...], Usage, str | None]:
    schema = LESSONS_SCHEMA if style == "full" else None
    messages = reflection_request(episode, style)
    try:
        replies = await model.complete(
            Request(messages, schema=schema, max_tokens=max_tokens, seed=episode.seed)
        )
    except (ModelError, BadInput) as error:  # BadInput: e.g. a log too long for a small context
        return (), Usage(), str(error)
    return parse_reflection(replies[0].message.text, episode), replies[0].usage, None


def _case(episode: Episode, facts: tuple[Lesson, ...]) -> Draft | None:
    evidence = tuple(dict.fromkeys(e for fact in facts for e in fact.evidence))
    taken = steps(episode)
    if not evidence and (episode.outcome != "success" or not taken):
        return None
    lesson = " ".join(fact.text for fact in facts)
    last = taken[-1] if taken else None
    proof = (Evidence(episode.id, last.observe or last.act),) if last else ()
    return Draft(
        "case",
        f"{episode.family}: {episode.task} {lesson}".strip(),
        CaseBody(
            task=episode.task,
            plan=tuple(step.command for step in taken if step.ok is not False),
            lesson=lesson,
            cause=cause(episode),
            steps=episode.steps,
        ),
        scope="family",
        family=episode.family,
        outcome=episode.outcome,
        lineage=Lineage(evidence or proof),
    )


def _principle(episode: Episode, rule: Lesson, builder: Literal["neural", "symbolic"]) -> Draft:
    return Draft(
        "principle",
        rule.text,
        PrincipleBody("family", builder, support=1),
        scope="family",
        family=episode.family,
        status="trial",
        lineage=Lineage(rule.evidence),
    )
