"""Rows by who speaks: the members of a team, each with what it saw; the world, which answers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from agent.planners.team import seen_by, turns_of
from agent.prompt import command_of
from distill.shapes.masks import unweighted
from distill.speakers import speakers
from distill.types import Episodes, Row
from memory.types import Message

_OMITTED = "(an earlier answer)"


@dataclass(frozen=True, slots=True)
class PerAgent:
    """One member's turns with what it was shown; what the others said and did is context.

    Sources: MARFT (arXiv 2504.16129) and CoMAS, one set of rows for each role. In a team a row is a turn of
    the member behind what the planner shows it; elsewhere it is the episode, in which only messages of that
    name train.
    """

    name: str | None = None
    """The member; None: every one, each by itself."""

    def __call__(self, rows: Sequence[Row], _: Episodes) -> tuple[Row, ...]:
        """In the order of the turns."""
        return tuple(made for row in rows for made in self._of(row))

    def _of(self, row: Row) -> Iterator[Row]:
        if turns := turned(row):
            yield from (one for member, one in turns if self.name in (None, member))
            return
        names = speakers(row.messages)
        spoken = sorted({names[n] for n, one in enumerate(row.messages) if one.role == "assistant"})
        for name in spoken if self.name is None else [self.name]:
            kept = (
                one if names[n] == name else replace(one, weight=0.0) for n, one in enumerate(row.messages)
            )
            yield replace(row, messages=tuple(kept))


def turned(row: Row) -> tuple[tuple[str, Row], ...]:
    """A team's turns by member, each behind what the planner showed it, which does not train; else none.

    A row's own messages are the last turn in it.
    """
    places = {id(one): n for n, one in enumerate(row.messages)}
    made = []
    for turn in turns_of(row.messages)[1]:
        end = places[id(turn.messages[-1])] + 1
        own = {id(one) for one in turn.messages}
        shown = seen_by(row.messages[:end], turn.member)
        part = replace(
            row,
            messages=tuple(one if id(one) in own else replace(one, weight=0.0) for one in shown),
            # What the planner words anew for a member is no message of the episode.
            indices=tuple(row.indices[places[id(one)]] if id(one) in places else -1 for one in shown),
        )
        made.append((turn.member, part))
    return tuple(made)


@dataclass(frozen=True, slots=True)
class AsWorldModel:
    """The world learned: roles swapped, what was answered trains. The only shape that trains what is no
    agent's.

    Source: WebEvolver (arXiv 2504.21024): the same trajectories, the next observation from the task and the
    actions so far, older observations left out. Deviations: no rationale is written first; what memory said
    is neither context nor target.
    """

    per_action: int = 50
    """Rows of one action, so that what is done everywhere does not fill the data."""

    def __call__(self, rows: Sequence[Row], _: Episodes) -> tuple[Row, ...]:
        """One row for each answer; it weighs 1."""
        taken: dict[str, int] = {}
        made = []
        for row in rows:
            for at, one in enumerate(row.messages):
                action = _answered_by(row, at)
                if action is None or one.kind != "observe" or one.role != "tool":
                    continue
                taken[action] = taken.get(action, 0) + 1
                if taken[action] <= self.per_action:
                    made.append(_swapped(row, at))
        return tuple(made)


def _answered_by(row: Row, at: int) -> str | None:
    """The call that a message answers."""
    asked = row.messages[at].tool_call_id
    calls = (call for one in row.messages[:at] for call in one.tool_calls)
    return next((command_of(call) for call in calls if call.id == asked), None)


def _swapped(row: Row, at: int) -> Row:
    """The opening, actions as a user's words, answers as the assistant's; only the last one in full."""
    shown: list[tuple[int, Message]] = []
    for place, one in enumerate(row.messages[: at + 1]):
        if one.kind == "task":
            shown.append((row.indices[place], one))
        elif one.role == "assistant" and one.tool_calls:
            shown.append((-1, Message("user", "; ".join(map(command_of, one.tool_calls)), kind="act")))
        elif one.role == "tool" and one.kind == "observe":
            shown.append((-1, Message("assistant", _OMITTED, kind="observe")))
    answer = replace(row.messages[at], role="assistant", tool_call_id=None, weight=1.0, ok=None)
    messages = (*unweighted([one for _, one in shown[:-1]]), answer)
    return replace(
        row,
        messages=messages,
        indices=(*(index for index, _ in shown[:-1]), row.indices[at]),
        tools=(),
    )
