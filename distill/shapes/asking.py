"""Questions about tasks: can it be done, and which is worth trying. Answered by how attempts went."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from agent.planners.admitted import ASKED, NAME
from distill.shapes.attempts import opening_end, worth
from distill.shapes.masks import unweighted
from distill.types import Episodes, Row
from memory.types import Episode, Message

_PROPOSE = "name a task at {family} that is neither sure to be done nor sure to fail."
_PROPOSER = "proposer"
_KNOWN = {"always done": 1.0, "never done": 0.0}


@dataclass(frozen=True, slots=True)
class Tried:
    """A task and how often it was done."""

    rows: tuple[Row, ...]
    """Of its selected attempts, by id."""
    attempts: tuple[Episode, ...]

    @property
    def p(self) -> float:
        """Share of successes."""
        return sum(one.outcome == "success" for one in self.attempts) / len(self.attempts)

    @property
    def others(self) -> tuple[str, ...]:
        """Ids of the attempts beside the first row's."""
        return tuple(one.id for one in self.attempts if one.id != self.rows[0].episode)


@dataclass(frozen=True, slots=True)
class SelfAssessment:
    """The task as it is opened, whether it can be done, and yes or no by the sign of its attempts' weights.

    They are those of signal `calibration`: measured success. Source: KnowRL (arXiv 2510.11407), a model's own
    labels of what it can do; the question is that of planner `Admitted`.
    """

    def __call__(self, rows: Sequence[Row], lived: Episodes) -> tuple[Row, ...]:
        """One row for each task; it weighs as much as anything is known."""
        return tuple(_assessed(task) for task in tried(rows, lived))


@dataclass(frozen=True, slots=True)
class Proposals:
    """A request for a task at the edge of what can be done, and one that is; it weighs what its attempts do.

    Sources: Agent0 (arXiv 2511.16043), the curriculum agent; the proposer of MAE (arXiv 2510.23595); their
    rewards are signal `difficulty`. Deviation: tasks that were tried, whoever thought of them.
    """

    shown: int = 3
    """Tasks of each kind that are named as known."""

    def __call__(self, rows: Sequence[Row], lived: Episodes) -> tuple[Row, ...]:
        """One row for each task."""
        tasks = tried(rows, lived)
        made = []
        for task in tasks:
            first = lived[task.rows[0].episode]
            place = [one for one in tasks if lived[one.rows[0].episode].family == first.family]
            lines = [_PROPOSE.format(family=first.family), *self._told(place, lived)]
            asked = Message("user", "\n".join(lines), kind="critique", agent=_PROPOSER, weight=0.0)
            said = Message("assistant", first.task, kind="plan", agent=_PROPOSER, weight=worth(task.rows))
            made.append(Row(first.id, (asked, said), (-1, -1), also=task.others))
        return tuple(made)

    def _told(self, tasks: Sequence[Tried], lived: Episodes) -> list[str]:
        known = [(name, [one for one in tasks if one.p == p][: self.shown]) for name, p in _KNOWN.items()]
        return [
            f"{name}: {'; '.join(lived[one.rows[0].episode].task for one in found)}"
            for name, found in known
            if found
        ]


def _assessed(task: Tried) -> Row:
    first = task.rows[0]
    end = opening_end(first.messages)
    seen = list(zip(first.indices[:end], first.messages[:end], strict=True))
    seen = [(index, one) for index, one in seen if one.kind != "memory"]
    asked = Message("user", ASKED, kind="critique", agent=NAME, weight=0.0)
    sure = worth(task.rows)
    said = Message("assistant", "yes" if sure > 0.0 else "no", weight=abs(sure))
    messages = (*unweighted([one for _, one in seen]), asked, said)
    return Row(first.episode, messages, (*(index for index, _ in seen), -1, -1), also=task.others)


def tried(rows: Sequence[Row], lived: Episodes) -> tuple[Tried, ...]:
    """The tasks of the rows in the order of their ids, each with all its attempts that came to an outcome."""
    attempts: dict[str, list[Episode]] = {}
    for id_ in sorted(lived):
        if lived[id_].outcome in ("success", "failure"):
            attempts.setdefault(lived[id_].task_id, []).append(lived[id_])
    chosen: dict[str, list[Row]] = {}
    for row in sorted(rows, key=lambda row: row.episode):
        chosen.setdefault(lived[row.episode].task_id, []).append(row)
    return tuple(
        Tried(tuple(chosen[task]), tuple(attempts[task])) for task in sorted(chosen.keys() & attempts.keys())
    )
