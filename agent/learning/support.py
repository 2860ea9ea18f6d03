"""Does the evidence bear a lesson out? Words are compared, meaning is not guessed at. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from agent.builders.steps import steps
from agent.prompt import Lesson
from agent.words import content_words, numbered_names
from memory.types import Episode, Evidence, Message


def is_supported(lesson: Lesson, episode: Episode, share: float, *, refused: bool = False) -> bool:
    """Do the cited steps hold the lesson's words?

    Every cited message must exist in this episode and be something done or seen in it. `share` of the
    content words and every name with its number (`cabinet 3`) must occur. `refused` takes commands that the
    world did not take for evidence too: of what not to do they are.
    """
    if not lesson.evidence or not content_words(lesson.text):
        return False
    if not all(e.episode == episode.id and _is_source(_at(episode, e.message)) for e in lesson.evidence):
        return False
    read = " . ".join(_read(episode, lesson.evidence, refused))
    wanted, there = content_words(lesson.text), set(content_words(read))
    n_found = sum(word in there for word in wanted)
    return n_found >= share * len(wanted) and numbered_names(lesson.text) <= numbered_names(read)


def _at(episode: Episode, index: int) -> Message | None:
    return episode.messages[index] if 0 <= index < len(episode.messages) else None


def _is_source(message: Message | None) -> bool:
    return message is not None and message.role != "system" and message.kind in {"act", "observe", "answer"}


def _read(episode: Episode, evidence: Iterable[Evidence], refused: bool) -> Iterable[str]:
    """What the cited steps show: the answer, and the command unless it was refused; else the message.

    A thought is no evidence, nor is a command the world did not take: a model that imagines `stove 9`
    would otherwise prove it by having said it.
    """
    cited = {e.message for e in evidence}
    for step in steps(episode):
        if cited & {step.act, step.observe}:
            yield step.answer
            if refused or step.ok is not False:
                yield step.command
    answers = (_at(episode, index) for index in sorted(cited))
    yield from (message.text for message in answers if message is not None and message.kind != "act")
