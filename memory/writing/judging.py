"""What looking back at an episode adds to it, inside one transaction: verdicts on its steps, what it cost."""

from __future__ import annotations

from dataclasses import replace

from memory.author import Author
from memory.store.writer import Writer
from memory.types import Episode, StepVerdict, Usage
from memory.writing.secrets import redacted
from memory.writing.stepping import keep_steps


def judge(
    writer: Writer, author: Author, episode_id: str, verdicts: tuple[StepVerdict, ...], spent: Usage
) -> Episode:
    """The episode with these verdicts, its steps worth what they now say; what was spent is added.

    One that was forgotten keeps its silence, but what was spent on it was spent. Raises NotFound.
    """
    before = writer.episode(author.namespace, episode_id)
    told = before.verdicts
    if verdicts and before.forgotten is None:
        told = tuple(replace(one, reason=redacted(one.reason)) for one in verdicts)
    after = replace(before, verdicts=told, learning=before.learning + spent)
    if after == before:
        return before
    writer.change_episode(before, after, author.principal, author.at)
    if after.verdicts != before.verdicts:
        keep_steps(writer, after)
    return after
