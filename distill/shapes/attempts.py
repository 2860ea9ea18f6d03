"""Attempts at one task beside each other: a failure, what was wrong with it, the success that followed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from agent.builders.steps import steps
from agent.prompt import transcript
from distill.types import Episodes, Row
from memory.types import Episode, Message

_WORDS: Mapping[str, str] = {
    "refused": "it did nothing",
    "loop": "it had been done before, with the same answer",
    "wasted": "it led to nothing",
}
"""What the counters call their findings, in words."""
_UNKNOWN = "it did not lead to the end of the task"


@dataclass(frozen=True, slots=True)
class Retry:
    """A failure and a success at the same task."""

    failed: Episode
    better: Row
    """Of the success, with its weights."""

    @property
    def error(self) -> int | None:
        """The message of the failure's first wrong act; None where none is known."""
        return first_error(self.failed)


def retries(rows: Sequence[Row], lived: Episodes, *, only_later: bool = True) -> Iterator[Retry]:
    """One for each failure whose task was also done, by the earliest selected success after it.

    With `only_later` off, by the shortest success whenever it was; then in the order of the failures' ids.
    """
    done: dict[str, list[Row]] = {}
    for row in rows:
        if lived[row.episode].outcome == "success":
            done.setdefault(lived[row.episode].task_id, []).append(row)
    for id_ in sorted(lived):
        failed = lived[id_]
        if failed.outcome != "failure" or failed.task_id not in done:
            continue
        found = done[failed.task_id]
        if only_later:
            found = [row for row in found if _when(lived[row.episode]) > _when(failed)]
            better = min(found, key=lambda row: _when(lived[row.episode]), default=None)
        else:
            better = min(found, key=lambda row: (lived[row.episode].steps, row.episode))
        if better is not None:
            yield Retry(failed, better)


def first_error(episode: Episode) -> int | None:
    """By the verdicts where there are some, else the first act that was refused."""
    if episode.verdicts:
        return episode.first_error
    return next(
        (n for n, one in enumerate(episode.messages) if one.role == "assistant" and one.ok is False), None
    )


def fault(episode: Episode, at: int) -> str:
    """What was wrong with an act, as a sentence in the agent's own voice; grounded in verdict and answer."""
    step = next((one for one in steps(episode) if one.act == at), None)
    command = step.command if step else episode.messages[at].text
    rule = step.rule if step else None
    told = next((one.reason for one in episode.verdicts if one.message == at and one.reason), "refused")
    why = f"it broke the rule: {rule}" if rule else _WORDS.get(told, told)
    return f"that was wrong: {command}. {why.rstrip('.')}."


def blamed(episode: Episode) -> str:
    """What was wrong with a failure as far as anybody knows."""
    at = first_error(episode)
    return f"{_UNKNOWN}." if at is None else fault(episode, at)


def log_of(episode: Episode) -> str:
    """What was done and seen up to the first error, where one is known; without what memory told."""
    at = first_error(episode)
    end = len(episode.messages) if at is None else steps_end(episode, at)
    return "\n".join(text for _, text in transcript(episode.messages[:end]))


def steps_end(episode: Episode, at: int) -> int:
    """The place of the assistant's next message after `at`; the end where there is none."""
    later = (n for n, one in enumerate(episode.messages) if n > at and one.role == "assistant")
    return next(later, len(episode.messages))


def worth(rows: Iterable[Row]) -> float:
    """The mean weight of what trains in rows: what a shape writes for them weighs the same; 0 without any.

    So everything is multiplied by what all credit is multiplied by.
    """
    weights = [m.weight for row in rows for m in row.messages if m.role == "assistant" and m.weight]
    return fmean(weights) if weights else 0.0


def opening_end(messages: Sequence[Message]) -> int:
    """The place behind the message that says what the task is; of a chat, of the assistant's first."""
    told = next((n for n, one in enumerate(messages) if one.kind == "task"), None)
    if told is not None:
        return told + 1
    return next((n for n, one in enumerate(messages) if one.role == "assistant"), len(messages))


def _when(episode: Episode) -> tuple[float, str]:
    return episode.started_at, episode.id
