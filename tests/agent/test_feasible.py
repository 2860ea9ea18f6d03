"""Can this be done? Votes are corrected by what was done; the hopeless is declined, the rest is begun."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean

import pytest

from agent.desk import Desk, Planner
from agent.ending import Ending
from agent.evals.calibration import balanced_accuracy, brier
from agent.guards.feasible import FeasibleSettings, Near, agreement, feasible
from agent.journal import MemoryJournal
from agent.loop import Agent
from agent.models.scripted import ScriptedModel
from agent.planners.admitted import NAME, Admitted, near
from agent.planners.react import React
from agent.settings import Run
from agent.tools import ToolWorld
from agent.types import Task
from memory.core import Memory
from memory.encoder import HashEncoder
from memory.types import Episode, Message, ToolCall
from notebooks.bench_safety.feasibility import DOMAINS, lived, quality

EVERY = FeasibleSettings(explore=1.0)
"""Begins whatever it thinks, so that every prediction meets its outcome."""


def test_votes_are_a_prior_that_finished_tasks_move() -> None:
    """By hand: a Beta prior of the votes, then a kernel mean; far tasks weigh nothing."""
    settings = FeasibleSettings(votes_n=1.0, width=0.2, k=2)
    alone = feasible([True, True, False], (), settings)
    assert (alone.p, alone.votes, alone.n, alone.action) == (3 / 5, 2 / 3, 0.0, "proceed")
    here = (Near(1.0, 0.0), Near(0.8, 0.0), Near(0.1, 1.0))
    found = feasible([True, True, False], here, settings)
    weight = 1.0 + math.exp(-1.0)
    assert math.isclose(found.p, 3 / 5 / (1.0 + weight))
    assert math.isclose(found.n, weight)
    assert feasible((), here, settings).votes is None


def test_it_declines_asks_or_proceeds_and_never_by_votes_alone() -> None:
    """What the model thinks of itself stops nothing."""
    settings = FeasibleSettings()
    assert feasible([False] * 8, (), settings).action == "proceed"
    for wins, action in ((0, "decline"), (2, "ask"), (5, "proceed")):
        cases = [Near(1.0, float(n < wins)) for n in range(10)]
        assert feasible([True], cases, settings).action == action


def test_agreement_is_the_majoritys_share() -> None:
    """Eight of eight either way is one; a split is one half; nobody is as good as a split."""
    assert [agreement(votes) for votes in ([True] * 8, [False] * 8, [True, False], ())] == [
        1.0,
        1.0,
        0.5,
        0.5,
    ]


def test_calibration_by_hand() -> None:
    """Both scores of four predictions."""
    assert brier([0.9, 0.1, 0.5, 0.5], [True, False, True, False]) == pytest.approx((0.01 * 2 + 0.25 * 2) / 4)
    assert balanced_accuracy([True, True, True], [True, False, False]) == 0.5
    assert balanced_accuracy([], []) == 0.5


async def test_experience_makes_predictions_better(tmp_path: Path) -> None:
    """Brier falls and accuracy rises from the first third to the last; without memory they stay."""
    thirds = []
    for seed in range(2):
        told = await lived(seed, tmp_path, EVERY, 45)
        thirds.append([quality(told[:15]), quality(told[-24:])])
    blind = FeasibleSettings(explore=1.0, k=0)
    without = quality((await lived(9, tmp_path, blind, 45))[-24:])
    before, after = (tuple(fmean(run[n][part] for run in thirds) for part in (0, 1)) for n in (0, 1))
    assert after[0] < before[0] - 0.02
    assert after[1] > 0.7
    assert after[0] < without[0] - 0.1
    assert without[1] < 0.6


async def test_the_hopeless_is_declined_and_the_rest_is_kept(tmp_path: Path) -> None:
    """After fifty tasks; what was not begun leaves no failure, and says why."""
    told = (await lived(1, tmp_path, FeasibleSettings(explore=0.0)))[-12:]
    begun = {name: [one.outcome != "unknown" for one in told if one.domain == name] for name in DOMAINS}
    assert all(begun["sort"])
    assert all(begun["translate"])
    assert sum(begun["predict"]) <= 1


TASK = Task("t", "predict the winning numbers of lottery 99", "tools", "desk")


def answering(*, votes: int) -> ScriptedModel:
    done = Message("assistant", "", tool_calls=(ToolCall("", "finish", {"answer": "7"}),))
    return ScriptedModel([*(["yes"] * votes), done])


def failed(place: int) -> Episode:
    text = f"predict the winning numbers of lottery {place}"
    return Episode(f"old{place}", "ns", f"t{place}", text, "tools", "desk", "g", (), "failure", 0.0)


async def test_a_declined_run_says_so_and_is_replayed_alike(tmp_path: Path) -> None:
    """The same votes and the same memory, whatever has happened since."""
    with Memory.open(tmp_path / "m.db", encoder=HashEncoder()) as memory:
        for place in range(12):
            memory.record(failed(place), principal="ann")
        journal, settings = MemoryJournal(), FeasibleSettings(explore=0.0)
        agent = Agent(answering(votes=4), memory, planner=Admitted(React(), settings))
        first = await agent.run(TASK, ToolWorld(), Run("ns", "ann", "e1"), journal)
        assert (first.outcome, first.messages[-1].kind) == ("unknown", "answer")
        assert str(first.error).startswith("declined: ")
        for place in range(50, 70):
            won = replace(failed(place), id=f"new{place}", outcome="success", reward=1.0)
            memory.record(won, principal="ann")
        agent = Agent(answering(votes=0), memory, planner=Admitted(React(), settings))
        again = await agent.run(TASK, ToolWorld(), Run("ns", "ann", "e1"), journal)
        assert (again.messages, again.feedback) == (first.messages, first.feedback)


async def test_a_human_may_let_it_begin(tmp_path: Path) -> None:
    """Between the two bounds somebody is asked; nobody there is a no."""
    settings = FeasibleSettings(explore=0.0, decline_below=0.0, ask_below=0.9)

    async def yes(call: ToolCall, _: object) -> bool:
        return call.arguments["task"] == TASK.text

    with Memory.open(tmp_path / "m.db", encoder=HashEncoder()) as memory:
        for place in range(12):
            memory.record(failed(place), principal="ann")
        ends = []
        for n, approve in enumerate((None, yes)):
            agent = Agent(answering(votes=4), memory, planner=Admitted(React(), settings), approve=approve)
            episode = await agent.run(TASK, ToolWorld(), Run("ns", "ann", f"e{n}"))
            ends.append((episode.error is None, episode.feedback[NAME]["action"]))  # type: ignore[call-overload,index]
        assert ends == [(False, "ask"), (True, "ask")]


@dataclass(frozen=True)
class InParts:
    """Has the same planner work twice."""

    inner: Planner
    name: str = "parts"

    async def run(self, desk: Desk) -> Ending:
        await self.inner.run(desk)
        return await self.inner.run(desk)


async def test_a_run_in_parts_is_weighed_once() -> None:
    """Its parts are not."""
    done = Message("assistant", "", tool_calls=(ToolCall("", "finish", {"answer": "7"}),))
    model = ScriptedModel([*["yes"] * 4, done, done])
    agent = Agent(model, None, planner=InParts(Admitted(React())))
    episode = await agent.run(TASK, ToolWorld(), Run("ns", "ann", "e1"))
    assert (episode.error, model.left) == (None, 0)
    assert len(model.history) == 3


def test_only_what_ended_well_or_badly_is_near() -> None:
    """Nothing is concluded of runs that broke, were declined or forgotten."""
    known = [failed(1), Episode("o", "ns", "t", "x", "tools", "desk", "g", (), "unknown")]
    found = near("desk: predict the winning numbers of lottery 1", known)
    assert [(round(one.cosine, 3), one.reward) for one in found] == [(1.0, 0.0)]
    assert near("anything", []) == ()
