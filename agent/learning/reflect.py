"""One finished episode to drafts for memory: a case of what was found out, principles of what to do.

Every lesson cites messages, and counts only when their words bear it out. Recalled text, the system
message and outcomes nobody knows are never learned from. Where the model has nothing usable to say,
counters over the log speak instead (agent.builders.facts).
Source: cases after Memento (arXiv 2508.16153), principles with evidence after OmniReflect (arXiv
2506.17449); the check of evidence against words is ours.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from agent.builders.facts import cause, lessons, said_of
from agent.builders.ops import Operation, Window, sifted
from agent.builders.steps import steps
from agent.learning.answer import ANSWER_SCHEMA, Answer, asked, read
from agent.learning.support import is_supported
from agent.learning.verdicts import corrected
from agent.models.schema import Unreadable, repair_request
from agent.prompt import Lesson, parse_reflection, reflection_request
from agent.types import Model, Request, Style
from memory.errors import BadInput, ModelError
from memory.types import (
    CaseBody,
    Draft,
    Episode,
    Evidence,
    Item,
    Lineage,
    Message,
    PrincipleBody,
    StepVerdict,
    Usage,
)

_SHARE = {"plain": 1.0, "full": 0.6}
"""Share of a lesson's content words that must stand in what it cites: large models paraphrase."""
_HELPED = "It would have helped: {}"
Source = Literal["model", "miner", "none"]


@dataclass(frozen=True, slots=True)
class Reflection:
    """What an episode teaches."""

    drafts: tuple[Draft, ...] = ()
    """What is to be added, or seen again."""
    rejected: int = 0
    """Lessons and changes whose evidence does not exist or does not bear them out, or that have no form."""
    source: Source = "none"
    usage: Usage = field(default_factory=Usage)
    error: str | None = None
    """Why the model had no say."""
    operations: tuple[Operation, ...] = ()
    """What is to be changed in the principles that the episode was shown."""
    verdicts: tuple[StepVerdict, ...] = ()
    """The episode's, with what a model found wrong besides."""


@dataclass(frozen=True, slots=True)
class Said:
    """What came of asking a model."""

    answer: Answer = field(default_factory=Answer)
    usage: Usage = field(default_factory=Usage)
    error: str | None = None


async def reflect(
    episode: Episode,
    model: Model,
    style: Style,
    *,
    max_tokens: int = 512,
    calls: int = 1,
    principles: Sequence[Item] = (),
) -> Reflection:
    """At most `calls` model calls, one if the first answer can be read; without any the counters speak.

    An outcome of `unknown` or `infra` gives no drafts and makes no call. Never raises for what a model says.
    """
    if episode.outcome not in {"success", "failure"}:
        return Reflection(verdicts=episode.verdicts)
    said = await ask(episode, model, style, max_tokens, calls, principles)
    answer, share = said.answer, _SHARE[style]
    kept = tuple(lesson for lesson in answer.lessons if is_supported(lesson, episode, share))
    why, helped = (held(one, episode, share) for one in (answer.cause, answer.helped))
    changes, refused = sifted(answer.operations, Window((episode,), tuple(principles)), share)
    faults = answer.faults + len(refused) + (answer.cause != why) + (answer.helped != helped)
    rejected = len(answer.lessons) - len(kept) + faults
    mined = () if kept else lessons(episode)
    return Reflection(
        drafts(episode, (*(kept or mined), *said_of(episode)), "neural" if kept else "symbolic", why, helped),
        rejected,
        "model" if kept else "miner",
        said.usage,
        said.error,
        changes,
        corrected(episode, answer.verdicts),
    )


def drafts(
    episode: Episode,
    lessons: Iterable[Lesson],
    builder: Literal["neural", "symbolic"],
    why: Lesson | None = None,
    helped: Lesson | None = None,
) -> tuple[Draft, ...]:
    """One case with the facts, one principle per rule. A success without facts is a case by its plan.

    The case says `why` it failed, the counters' word where there is none, and what would have `helped`.
    """
    lessons = tuple(lessons)
    facts = {lesson.text: lesson for lesson in lessons if lesson.kind == "fact"}
    rules = {lesson.text: lesson for lesson in lessons if lesson.kind == "rule"}
    made = [_principle(episode, rule, builder) for rule in rules.values()]
    case = _case(episode, tuple(facts.values()), why, helped)
    return (case, *made) if case else tuple(made)


async def ask(
    episode: Episode, model: Model, style: Style, max_tokens: int, calls: int, principles: Sequence[Item]
) -> Said:
    """A large model whose answer cannot be read is told so, as long as calls are left."""
    is_full = style == "full"
    schema = ANSWER_SCHEMA if is_full else None
    messages = asked(episode, principles) if is_full else reflection_request(episode, style)
    usage, error = Usage(), None
    for _ in range(calls if is_full else min(calls, 1)):
        request = Request(messages, schema=schema, max_tokens=max_tokens, seed=episode.seed)
        try:
            reply = (await model.complete(request))[0]
        except (ModelError, BadInput) as fault:  # BadInput: e.g. a log too long for a small context
            return Said(usage=usage, error=str(fault))
        usage += reply.usage
        text = reply.message.text
        if not is_full:
            return Said(Answer(parse_reflection(text, episode)), usage)
        try:
            return Said(read(text, episode, principles), usage)
        except Unreadable as fault:
            error = str(fault)
            messages = (
                *messages,
                Message("assistant", text),
                Message("user", repair_request(fault, schema, ())),
            )
    return Said(usage=usage, error=error)


def held(said: Lesson | None, episode: Episode, share: float) -> Lesson | None:
    """What was said, if its evidence bears it out."""
    return said if said and is_supported(said, episode, share) else None


def _case(
    episode: Episode, facts: tuple[Lesson, ...], why: Lesson | None, helped: Lesson | None
) -> Draft | None:
    told = (*facts, *filter(None, [helped]))
    evidence = tuple(dict.fromkeys(e for fact in (*told, *filter(None, [why])) for e in fact.evidence))
    taken = steps(episode)
    if not told and (episode.outcome != "success" or not taken):
        return None
    lesson = " ".join([*(fact.text for fact in facts), *([_HELPED.format(helped.text)] if helped else [])])
    last = taken[-1] if taken else None
    proof = (Evidence(episode.id, last.observe or last.act),) if last else ()
    return Draft(
        "case",
        f"{episode.family}: {episode.task} {lesson}".strip(),
        CaseBody(
            task=episode.task,
            plan=tuple(step.command for step in taken if step.ok is not False),
            lesson=lesson,
            cause=why.text if why and episode.outcome == "failure" else cause(episode),
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
