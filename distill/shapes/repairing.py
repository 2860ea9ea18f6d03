"""Failures that were put right: errors in context, revisions, repairs by who hears what was wrong."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from distill.replay import Tasks
from distill.shapes.attempts import blamed, fault, first_error, log_of, retries, worth
from distill.shapes.masks import errors_of, is_wrong, unweighted
from distill.shapes.splicing import spliced
from distill.types import Episodes, Row
from memory.types import Episode, Message

_TRIED = "an earlier attempt at this task:\n{log}\nwhat was wrong: {fault}"
_CRITICISE = "the attempt is over. what was wrong with it?"


@dataclass(frozen=True, slots=True)
class Repair:
    """The task with the trajectory that did it in the end.

    Source: Re-ReST (arXiv 2406.01495), successes and repaired failures together: the selected
    successes as they are, those that came after a failure at the task saying so (`Row.also`). With
    `keep_error` the failure's first error stays in context, without loss, and the success goes on from there
    in the world (STeP's way of using a repair); where that cannot be lived there is no such row.
    Deviation: a repair is a later success of the agent's own, not a reflector's at once.
    """

    keep_error: bool = False

    def __call__(self, rows: Sequence[Row], lived: Episodes) -> tuple[Row, ...]:
        """One row a success; with `keep_error` one a failure."""
        found = tuple(retries(rows, lived))
        if self.keep_error:
            tasks = Tasks.of([one.failed for one in found])
            made = (
                spliced(one.failed, one.error, one.better, tasks) for one in found if one.error is not None
            )
            return tuple(row for row in made if row is not None)
        mended: dict[str, tuple[str, ...]] = {}
        for one in found:
            mended[one.better.episode] = (*mended.get(one.better.episode, ()), one.failed.id)
        done = (row for row in rows if lived[row.episode].outcome == "success")
        return tuple(replace(row, also=(*row.also, *mended.get(row.episode, ()))) for row in done)


@dataclass(frozen=True, slots=True)
class Reflector:
    """What was wrong with a failure, then the attempt that went well: how to make use of a critique.

    Source: the reflector of Re-ReST and the repair rows of SELF (arXiv 2310.00533). Deviation: the repaired
    attempt is lived in turns, as it is when serving, instead of written at once.
    """

    def __call__(self, rows: Sequence[Row], lived: Episodes) -> tuple[Row, ...]:
        """The success's row behind a message that tells of the failure."""
        made = []
        for one in retries(rows, lived):
            told = _TRIED.format(log=log_of(one.failed), fault=blamed(one.failed))
            made.append(
                replace(
                    one.better,
                    messages=(_told(told), *one.better.messages),
                    indices=(-1, *one.better.indices),
                    also=(*one.better.also, one.failed.id),
                )
            )
        return tuple(made)


@dataclass(frozen=True, slots=True)
class Critique:
    """A failure and what was wrong with it: the critique trains, as far as it is borne out.

    Source: SELF (arXiv 2310.00533), meta-skill of feedback; the verifier rows of Agent0-VL. Deviation: the
    words are made of the verdict, and only of a failure that was repaired later.
    """

    def __call__(self, rows: Sequence[Row], lived: Episodes) -> tuple[Row, ...]:
        """The failure as context, the question, and its first error."""
        return tuple(
            row for one in retries(rows, lived) if (row := _criticised(one.failed, one.better)) is not None
        )


@dataclass(frozen=True, slots=True)
class TriRow:
    """Of each repaired failure three rows: its critique, its repair, and the task done directly.

    Source: SELF (arXiv 2310.00533), data of the meta-skills and of self-evolution.
    """

    def __call__(self, rows: Sequence[Row], lived: Episodes) -> tuple[Row, ...]:
        """Critique, repair, direct."""
        repaired = {one.better.episode for one in retries(rows, lived)}
        direct = tuple(row for row in Repair()(rows, lived) if row.episode in repaired)
        return (*Critique()(rows, lived), *Reflector()(rows, lived), *direct)


@dataclass(frozen=True, slots=True)
class Revise:
    """A failure up to its first error, as context; the thought that it was one; a good way on from there.

    Source: Agent-R (arXiv 2501.11425). The first error is that of the episode's verdicts (of a model where
    one looked, else of counters). Deviations: the thought is made of the verdict, where the paper draws one
    of ten sentences, and stands before the next action instead of a turn that waits; the good way is lived
    again from the wrong state, where the paper puts together two halves that never met. `counterfactual`
    allows that too, for worlds that cannot be lived again; what was not answered there says so
    (`Message.agent`).
    """

    counterfactual: bool = False
    most: int = 4
    """Failures that are revised with one good way: one way must not fill the data."""

    def __call__(self, rows: Sequence[Row], lived: Episodes) -> tuple[Row, ...]:
        """One row for each failure that can be revised, by the shortest success at its task."""
        found = [one for one in retries(rows, lived, only_later=False) if one.error is not None]
        tasks, made, used = Tasks.of([one.failed for one in found]), list[Row](), dict[str, int]()
        for one in found:
            n_used = used.get(one.better.episode, 0)
            if one.error is None or n_used == self.most:
                continue
            thought = fault(one.failed, one.error)
            row = spliced(
                one.failed,
                one.error,
                one.better,
                tasks,
                thought=thought,
                counterfactual=self.counterfactual,
            )
            if row is not None:
                used[row.episode] = n_used + 1
                made.append(row)
        return tuple(made)


@dataclass(frozen=True, slots=True)
class Refine:
    """Episodes with a mistake that was put right, up to the last act that was: mistakes are context.

    Source: AgentRefine (arXiv 2501.01702): erroneous turns are masked, refinements train, what follows the
    last verified turn is left out. Deviation: mistakes that happened, in worlds that are there.
    """

    def __call__(self, rows: Sequence[Row], lived: Episodes) -> tuple[Row, ...]:
        """None of episodes that never went wrong, or never right after it."""
        return tuple(row for one in rows if (row := _refined(one, lived)) is not None)


def _criticised(failed: Episode, better: Row) -> Row | None:
    error = first_error(failed)
    if error is None:
        return None
    seen = [(n, m) for n, m in enumerate(failed.messages) if m.kind != "memory" and m.role != "system"]
    said = Message("assistant", fault(failed, error), kind="critique", weight=worth([better]))
    messages = (*unweighted([one for _, one in seen]), _told(_CRITICISE), said)
    return Row(failed.id, messages, (*(n for n, _ in seen), -1, -1), also=(better.episode,))


def _refined(row: Row, lived: Episodes) -> Row | None:
    episode = lived[row.episode]
    errors = errors_of(episode)
    wrong = [at for at, one in enumerate(row.messages) if is_wrong(one, row.indices[at], errors)]
    mended = {one.message for one in episode.verdicts if one.verdict == "recovery"}
    right = [
        at
        for at, one in enumerate(row.messages)
        if one.role == "assistant" and at not in wrong and (one.ok is True or row.indices[at] in mended)
    ]
    if not wrong or not right or right[-1] < wrong[0]:
        return None
    end = right[-1] + 1
    kept = tuple(
        replace(one, weight=0.0) if at in wrong else one for at, one in enumerate(row.messages[:end])
    )
    return replace(row, messages=kept, indices=row.indices[:end])


def _told(text: str) -> Message:
    return Message("user", text, kind="critique", weight=0.0)
