"""What a world said that is worth keeping: rules it stated, sentences that were made use of. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from agent.builders.settings import MineSettings
from agent.builders.steps import Step, steps
from agent.prompt import Lesson
from agent.words import content_words, sentences
from memory.types import Episode, Evidence

FEEDBACK = "feedback"
"""`Message.agent` of what somebody said of an episode, after it."""


def said_of(episode: Episode) -> tuple[Lesson, ...]:
    """What somebody said of the episode, in their words: a model need not find it again."""
    return tuple(
        Lesson(message.text, "fact", (Evidence(episode.id, index),))
        for index, message in enumerate(episode.messages)
        if message.agent == FEEDBACK
    )


def cause(episode: Episode) -> str | None:
    """Why a failure failed: the rule it broke, the limit it hit, or the world's last words."""
    if episode.outcome != "failure":
        return None
    broken = [lesson.text for lesson in stated_rules(episode)]
    if broken:
        return broken[-1]
    observed = [m.text for m in episode.messages if m.kind == "observe" and m.text]
    return episode.error or (observed[-1] if observed else None)


def lessons(episode: Episode, settings: MineSettings | None = None) -> tuple[Lesson, ...]:
    """Rules the world stated, and sentences it said that a later successful command made use of."""
    settings = settings or MineSettings()
    return (*stated_rules(episode), *_used_facts(episode, settings))


def stated_rules(episode: Episode) -> tuple[Lesson, ...]:
    """The rules that the world says were broken; whatever else its texts look like."""
    return tuple(
        Lesson(message.rule, "rule", (Evidence(episode.id, index),))
        for index, message in enumerate(episode.messages)
        if message.kind == "observe" and message.rule
    )


def _used_facts(episode: Episode, settings: MineSettings) -> tuple[Lesson, ...]:
    """For each change to another kind of action, the sentence on the task's things that led to it."""
    taken = steps(episode)
    facts: dict[str, Lesson] = {}
    for number, step in enumerate(taken):
        if number == 0 or taken[number - 1].verb == step.verb:
            continue
        best = max(_said_before(episode, step), default=None)
        if best is not None:
            _, index, sentence = best
            facts.setdefault(sentence, Lesson(f"{sentence}.", "fact", (Evidence(episode.id, index),)))
    return tuple(facts.values())[: settings.max_facts]


def _said_before(episode: Episode, step: Step) -> Iterator[tuple[int, int, str]]:
    """Sentences observed before a step that share words with the task, and two or more with the command."""
    wanted, asked = set(content_words(step.command)), set(content_words(episode.task))
    for index, message in enumerate(episode.messages[: step.act]):
        if message.kind != "observe" or message.ok is False:
            continue
        for sentence in sentences(message.text):
            said = set(content_words(sentence))
            if len(wanted & said) >= 2 and asked & said:
                yield len(wanted & said), index, sentence
