"""Questions about tasks: can it be done, and which is worth trying. Answered by how attempts went."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from agent.planners.admitted import ASKED, NAME
from distill.shapes.attempts import opening_end, worth
from distill.shapes.masks import unweighted
from distill.types import Episodes, Row
from memory.types import Episode, Message

_PROPOSE = "name a task at {family} that is neither sure to be done nor sure to fail."
_KNOWN = {"always done": 1.0, "never done": 0.0}


@dataclass(frozen=True, slots=True)
class Tried:
    """A task and how often it was done."""

    rows: tuple[Row, ...]
    """Of its selected attempts, by id."""
    attempts: tuple[Episode, ...]

    @property
    def n(self) -> int:
        """Attempts with an outcome."""
        return len(self.attempts)

    @property
    def p(self) -> float:
        """Share of successes."""
        return sum(one.outcome == "success" for one in self.attempts) / self.n

    @property
    def others(self) -> tuple[str, ...]:
        """Ids of the attempts beside the first row's."""
        return tuple(one.id for one in self.attempts if one.id != self.rows[0].episode)


@dataclass(frozen=True, slots=True)
class SelfAssessment:
    """The task as it is opened, whether it can be done, and yes or no as its attempts went.

    Source: KnowRL: the model's own feasibility labels; the question
    is that of planner `Admitted`. Deviation: measured success instead of agreement with itself. A row weighs
    |2p - 1| n / (n + prior): what is known for sure, often.
    """

    prior: float = 1.0
    """Attempts that knowing nothing counts for."""

    def __call__(self, rows: Sequence[Row], lived: Episodes) -> tuple[Row, ...]:
        """One row for each task that went more often one way than the other."""
        made = []
        for task in tried(rows, lived):
            sure = abs(2 * task.p - 1) * task.n / (task.n + self.prior)
            first = task.rows[0]
            end = opening_end(first.messages)
            seen = [(first.indices[n], one) for n, one in enumerate(first.messages[:end])]
            seen = [(index, one) for index, one in seen if one.kind != "memory"]
            asked = Message("user", ASKED, kind="critique", agent=NAME, weight=0.0)
            said = Message("assistant", "yes" if task.p > 0.5 else "no", weight=sure * worth(task.rows))
            messages = (*unweighted([one for _, one in seen]), asked, said)
            indices = (*(index for index, _ in seen), -1, -1)
            made.append(Row(first.episode, messages, indices, also=task.others))
        return tuple(made)


@dataclass(frozen=True, slots=True)
class Proposals:
    """A request for a task at the edge of what can be done, and one that is: 1 - 2 |p - 1/2| is its weight.

    Sources: Agent0 (arXiv 2511.16043), the curriculum agent's reward for uncertainty; the proposer of MAE.
    Deviation: tasks that were tried, whoever thought of them, by measured success.
    """

    shown: int = 3
    """Tasks of each kind that are named as known."""

    def __call__(self, rows: Sequence[Row], lived: Episodes) -> tuple[Row, ...]:
        """One row for each task that was both done and not."""
        tasks = tried(rows, lived)
        made = []
        for task in tasks:
            first = lived[task.rows[0].episode]
            place = [one for one in tasks if lived[one.rows[0].episode].family == first.family]
            lines = [_PROPOSE.format(family=first.family), *self._told(place, lived)]
            weight = (1 - 2 * abs(task.p - 0.5)) * worth(task.rows)
            asked = Message("user", "\n".join(lines), kind="critique", agent="proposer", weight=0.0)
            said = Message("assistant", first.task, kind="plan", agent="proposer", weight=weight)
            made.append(Row(first.id, (asked, said), (-1, -1), also=task.others))
        return tuple(made)

    def _told(self, tasks: Iterable[Tried], lived: Episodes) -> list[str]:
        known = [(name, [one for one in tasks if one.p == p][: self.shown]) for name, p in _KNOWN.items()]
        return [
            f"{name}: {'; '.join(lived[one.rows[0].episode].task for one in found)}"
            for name, found in known
            if found
        ]


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
