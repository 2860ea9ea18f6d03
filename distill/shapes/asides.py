"""What a model said beside its turns, given back to it: each as an answer to the question it was asked.

Plans, goals with their queries, verdicts on what was found and critiques are told in an episode as a user's;
when serving, the model is asked for each with a question of its own. The rows here hold that question and the
answer in the form that is asked for, so that what is trained is what is served.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from agent.builders.steps import steps
from agent.critics.goals import ASKED
from agent.planners.goals import ASK_NEXT, ASK_REFINED, GOALS
from agent.planners.plan import AGAIN, FIRST, PLANNER, newest
from distill.shapes.attempts import opening_end, worth
from distill.shapes.masks import is_aside, unweighted
from distill.types import Episodes, Row
from memory.types import Episode, Json, Kind, Message

_PLAN, _GOAL, _SEARCH = "Plan:\n", "Goal: ", "\nSearch: "
_MET, _UNMET = "Goal met: ", "Goal not met: "
_CHECKED, _CHECK = "Checked: ", "Check what was done so far. What is wrong with it?"
_NOISE = "it is about something else"


@dataclass(frozen=True, slots=True)
class Asides:
    """One row for each plan, goal, verdict or critique that has weight.

    Sources: PilotRL (arXiv 2508.00344), the stage that learns to plan; RE-Searcher (arXiv 2509.26048), goals,
    queries and reflections. Deviation: a row of its own each, for so they are asked.
    """

    kinds: tuple[Kind, ...] = ("plan", "reflect")

    def __call__(self, rows: Sequence[Row], _: Episodes) -> tuple[Row, ...]:
        """Question and answer, behind what the model saw."""
        return tuple(
            made
            for row in rows
            for at, one in enumerate(row.messages)
            if is_aside(one) and one.kind in self.kinds and one.weight
            if (made := _answered(row, at)) is not None
        )


@dataclass(frozen=True, slots=True)
class Perturb:
    """Of each search that met its goal, a row in which it found something else: then the verdict is no.

    Source: RE-Searcher (arXiv 2509.26048), robustness to disturbed results. Deviation: the disturbance is
    made in the data, with what another search found, instead of while searching.
    """

    def __call__(self, rows: Sequence[Row], _: Episodes) -> tuple[Row, ...]:
        """The question with another search's find, and the other verdict."""
        verdicts = [one for row in rows for _, one in _placed_verdicts(row)]
        made = []
        for place, one in enumerate(verdicts):
            others = (*verdicts[place + 1 :], *verdicts[:place])
            noise = next((other for other in others if other.goal != one.goal), None)
            if one.met and noise is not None and one.found not in noise.found:
                row = replace(one, found=noise.found, met=False, why=_NOISE).as_row()
                also = () if noise.row.episode == row.episode else (noise.row.episode,)
                made.append(replace(row, also=(*row.also, *also)))
        return tuple(made)


@dataclass(frozen=True, slots=True)
class PlanPrefix:
    """Successes without a plan get one in hindsight: what was done to the end, before the first act.

    Source: PilotRL (arXiv 2508.00344), plans that actions are to follow. Deviation: a plan nobody wrote is
    the list of what was done, without what was wrong.
    """

    most: int = 12
    """Steps of a plan."""
    is_followed: bool = False
    """Acts that are no step of a plan in hindsight weigh nothing."""

    def __call__(self, rows: Sequence[Row], lived: Episodes) -> tuple[Row, ...]:
        """A plan stands in each row, as the planner tells it; failures without one are left out."""
        return tuple(made for row in rows if (made := self._planned(row, lived[row.episode])) is not None)

    def _planned(self, row: Row, episode: Episode) -> Row | None:
        if any(one.kind == "plan" for one in row.messages):
            return row
        done = [step for step in steps(episode) if step.ok is not False][: self.most]
        if episode.outcome != "success" or not done:
            return None
        lines = "\n".join(f"{n}. {step.command}" for n, step in enumerate(done, 1))
        plan = Message("user", f"{_PLAN}{lines}", kind="plan", agent=PLANNER, weight=worth([row]))
        at = opening_end(row.messages)
        messages = row.messages if not self.is_followed else _following(row, {step.act for step in done})
        return replace(
            row,
            messages=(*messages[:at], plan, *messages[at:]),
            indices=(*row.indices[:at], -1, *row.indices[at:]),
        )


@dataclass(frozen=True, slots=True)
class _Verdict:
    """A verdict on one search."""

    row: Row
    weight: float
    goal: str
    found: str
    met: bool
    why: str

    def as_row(self) -> Row:
        asked = Message("user", ASKED.format(goal=self.goal, found=self.found), weight=0.0)
        reply = _reply({"met": self.met, "why": self.why}, "reflect", self.weight)
        return replace(self.row, messages=(asked, reply), indices=(-1, -1))


def _following(row: Row, acts: Collection[int]) -> tuple[Message, ...]:
    """Of the acts those at these places of the episode keep their weight."""
    return tuple(
        one if one.kind != "act" or index in acts else replace(one, weight=0.0)
        for one, index in zip(row.messages, row.indices, strict=True)
    )


def _answered(row: Row, at: int) -> Row | None:
    one = row.messages[at]
    if one.agent == PLANNER and one.kind == "plan" and one.text.startswith(_PLAN):
        return _plan_row(row, at)
    if _is_goal(one):
        return _goal_row(row, at)
    return _critique_row(row, at) if one.kind == "critique" else _verdict_row(row, at)


def _plan_row(row: Row, at: int) -> Row:
    before = row.messages[:at]
    is_first = not any(one.kind == "plan" and one.agent == PLANNER for one in before)
    kept = {id(one) for one in newest(before)}
    named = [line.partition(". ")[2] for line in row.messages[at].text.splitlines()[1:]]
    shown = [(row.indices[n], one) for n, one in enumerate(before) if id(one) in kept]
    question = Message("user", FIRST if is_first else AGAIN, kind="plan", agent=PLANNER, weight=0.0)
    return _asked(row, shown, question, _reply({"steps": [*named]}, "plan", row.messages[at].weight))


def _goal_row(row: Row, at: int) -> Row:
    goal, query = _goal_of(row.messages[at])
    earlier = [_goal_of(one) for one in row.messages[:at] if _is_goal(one)]
    tried = [asked for known, asked in earlier if known == goal]
    shown = list(zip(row.indices[:at], row.messages[:at], strict=True))
    text, said = ASK_NEXT, {"goal": goal, "query": query}
    if tried:
        text, said = ASK_REFINED.format(goal=goal, tried="; ".join(tried)), {"query": query}
    question = Message("user", text, kind="plan", agent=GOALS, weight=0.0)
    return _asked(row, shown, question, _reply({**said}, "plan", row.messages[at].weight))


def _critique_row(row: Row, at: int) -> Row:
    """How a verifier was asked is not stored: the question is ours."""
    one, shown = row.messages[at], list(zip(row.indices[:at], row.messages[:at], strict=True))
    question = Message("user", _CHECK, kind="critique", agent=one.agent, weight=0.0)
    said = Message("assistant", one.text.removeprefix(_CHECKED), kind="critique", weight=one.weight)
    return _asked(row, shown, question, said)


def _verdict_row(row: Row, at: int) -> Row | None:
    return next((one.as_row() for place, one in _placed_verdicts(row) if place == at), None)


def _placed_verdicts(row: Row) -> Iterator[tuple[int, _Verdict]]:
    """Verdicts that were asked for, with their places: what was found stands just before."""
    goal = ""
    for at, one in enumerate(row.messages):
        if _is_goal(one):
            goal = _goal_of(one)[0]
        if one.agent != GOALS or one.kind != "reflect" or not one.weight:
            continue
        met = one.text.startswith(_MET)
        head = f"{_MET if met else _UNMET}{goal}."
        found = row.messages[at - 1]
        if goal and one.text.startswith(head) and found.kind in ("observe", "memory") and found.text:
            why = one.text.removeprefix(head).strip()
            yield at, _Verdict(row, one.weight, goal, found.text, met, why)


def _is_goal(message: Message) -> bool:
    return message.agent == GOALS and message.kind == "plan" and message.text.startswith(_GOAL)


def _goal_of(message: Message) -> tuple[str, str]:
    goal, _, query = message.text.removeprefix(_GOAL).partition(_SEARCH)
    return goal, query


def _asked(row: Row, shown: Sequence[tuple[int, Message]], question: Message, reply: Message) -> Row:
    return replace(
        row,
        messages=(*unweighted([one for _, one in shown]), question, reply),
        indices=(*(index for index, _ in shown), -1, -1),
    )


def _reply(said: Mapping[str, Json], kind: Kind, weight: float | None) -> Message:
    return Message("assistant", json.dumps(dict(said), ensure_ascii=False), kind=kind, weight=weight)
