"""World `city` and planner `belief`: who keeps an estimate of the goal goes round less and arrives more."""

from __future__ import annotations

import json
import math
import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import fmean

import pytest

from agent.desk import Planner
from agent.journal import MemoryJournal
from agent.loop import Agent
from agent.models.scripted import FunctionModel, ScriptedModel
from agent.opening import Run
from agent.planners.belief import BELIEF, Belief, Visit, newest_belief, rendered
from agent.planners.react import React
from agent.types import Task
from agent.worlds.catalogue import catalogue
from agent.worlds.city import CityCatalogue, CityWorld, Corner, make_city
from memory.errors import BadInput
from memory.types import Episode, Message, ToolCall

CITIES = ("maple 33", "maple 34", "maple 35", "maple 36", "maple 37")
AXES = {"east": (1, 0), "west": (-1, 0), "north": (0, 1), "south": (0, -1)}
RUN = Run("ns", "ann", "e1")
Vector = tuple[float, float]


def vector(wind: str, metres: float) -> Vector:
    parts = [AXES[one] for one in wind.split("-")]
    x, y = (sum(part[axis] for part in parts) for axis in (0, 1))
    return metres * x / math.hypot(x, y), metres * y / math.hypot(x, y)


def plus(one: Vector, other: Vector, weight: float = 1.0) -> Vector:
    return one[0] + weight * other[0], one[1] + weight * other[1]


@dataclass(frozen=True)
class Walker:
    """Reckons where the goal lies when it is asked to believe; otherwise it sees the newest words alone."""

    seed: int

    def __call__(self, messages: tuple[Message, ...]) -> Message:
        seen = next(one.text for one in reversed(messages) if "Roads lead" in one.text)
        task = next(one.text for one in messages if one.kind == "task")
        belief = next((one.text for one in reversed(messages) if one.text.startswith("Belief: ")), "")
        if '"confidence"' in messages[-1].text:
            return Message("assistant", json.dumps(self.believed(task, seen, belief)))
        ways = re.findall(r"Roads lead ([a-z, ]+)", seen)[0].split(", ")
        goal = self.told(belief) if belief else self.sighted(task, seen)
        here = re.findall(r"and then did: (.*)\.\n", belief)
        tried = [one for done in here for one in re.findall(r'"way": "(\w+)"', done)]
        rng = random.Random(f"{self.seed}/{len(messages)}")

        def cost(way: str) -> tuple[float, float]:
            after = plus(goal, AXES[way], -100.0) if goal else (0.0, 0.0)
            return math.hypot(*after) + 250.0 * tried.count(way), rng.random()

        return Message("assistant", "on", tool_calls=(ToolCall("", "walk", {"way": min(ways, key=cost)}),))

    def told(self, belief: str) -> Vector | None:
        found = re.findall(r"lies (-?\d+) east, (-?\d+) north", belief)
        return (float(found[0][0]), float(found[0][1])) if found else None

    def sighted(self, task: str, seen: str) -> Vector | None:
        """Where the goal lies by the landmarks in sight."""
        offsets = re.findall(r"(\d+) metres (\w+) and (\d+) metres (\w+) of the ([a-z ]+)", task)
        told = {name: plus(vector(a, float(x)), vector(b, float(y))) for x, a, y, b, name in offsets}
        sights = dict(re.findall(r"the ([a-z ]+?) (right here|\d+ metres to the [a-z-]+)", seen))
        found = []
        for name, where in sights.items():
            if name in told:
                metres = re.findall(r"(\d+) metres to the ([a-z-]+)", where)
                at = vector(metres[0][1], float(metres[0][0])) if metres else (0.0, 0.0)
                found.append(plus(at, told[name]))
        return (fmean(x for x, _ in found), fmean(y for _, y in found)) if found else None

    def believed(self, task: str, seen: str, belief: str) -> dict[str, object]:
        walked = re.findall(r"You walk (\d+) metres (\w+)", seen)
        before, sighted = self.told(belief), self.sighted(task, seen)
        expected = (
            plus(before, vector(walked[0][1], float(walked[0][0])), -1.0) if before and walked else before
        )
        goal = sighted or expected
        if sighted and expected:
            goal = (sighted[0] + expected[0]) / 2, (sighted[1] + expected[1]) / 2
        text = f"{goal[0]:.0f} east, {goal[1]:.0f} north" if goal else "somewhere"
        place = re.findall(r"corner \d+", seen)[0]
        return {"place": place, "goal": text, "confidence": 0.8 if sighted else 0.5}


async def walked(planner: Planner, task: Task, seed: int) -> Episode:
    agent = Agent(FunctionModel(Walker(seed)), None, planner=planner)
    return await agent.run(task, catalogue("city").make(), RUN)


def ends(task: Task) -> tuple[Corner, Corner]:
    start, goal = (tuple(map(int, str(task.config[key]).strip("[]").split(","))) for key in ("start", "goal"))
    return (start[0], start[1]), (goal[0], goal[1])


def corners(episode: Episode) -> list[str]:
    return re.findall(r"You are at (corner \d+)", "\n".join(one.text for one in episode.messages))


async def measured(planner: Planner, city: str, n: int) -> tuple[float, float, float]:
    """Success, success weighted by path length, and the share of steps to a corner that was visited."""
    won, spl, again = [], [], []
    for seed, task in enumerate(catalogue("city").tasks(site=city, split="work", n=n)):
        episode = await walked(planner, task, seed)
        route = len(make_city(city).route(*ends(task)))
        ok = episode.outcome == "success"
        won.append(float(ok))
        spl.append(ok * route / max(route, episode.steps))
        again.append(1 - len(set(corners(episode))) / len(corners(episode)))
    return fmean(won), fmean(spl), fmean(again)


async def test_a_belief_arrives_more_often_and_goes_round_less() -> None:
    """Over five cities: success and path length together rise in each, revisits fall."""
    with_it = [await measured(Belief(), city, 6) for city in CITIES]
    without = [await measured(React(), city, 6) for city in CITIES]
    for (won, spl, again), (plain_won, plain_spl, plain_again) in zip(with_it, without, strict=True):
        assert won > plain_won
        assert spl > plain_spl
        assert again < plain_again
    gains = [fmean(one[part] for one in with_it) - fmean(one[part] for one in without) for part in range(3)]
    assert gains[0] > 0.25
    assert gains[1] > 0.15
    assert gains[2] < -0.15


async def test_it_is_replayed_alike_from_every_cut() -> None:
    """What it believed is made anew from what was said."""
    (task,) = catalogue("city").tasks(site=CITIES[0], split="work", n=1)
    journal, model = MemoryJournal(), FunctionModel(Walker(0))
    agent = Agent(model, None, planner=Belief())
    whole = await agent.run(task, CityWorld(), RUN, journal)
    names = list(journal.record)
    for cut in range(0, len(names), 3):
        kept = MemoryJournal({name: journal.record[name] for name in names[:cut]})
        again = await agent.run(task, CityWorld(), RUN, kept)
        assert again.messages == whole.messages


def test_one_belief_is_in_view_and_says_what_was_done_here() -> None:
    """The newest, with every visit counted."""
    visits = [Visit("a", "go east"), Visit("b", "go back"), Visit("a")]
    said = {"goal": "north", "confidence": 0.5, "expected": "a mill", "differs": "no mill", "place": "a"}
    assert rendered(said, visits).splitlines() == [
        "Belief: the goal lies north (confidence 0.5).",
        "Expected: a mill",
        "But: no mill",
        "You were at a before, and then did: go east.",
        "Visited: a (2), b (1).",
    ]
    old, new = (Message("user", text, kind="plan", agent=BELIEF) for text in ("old", "new"))
    assert newest_belief([old, Message("assistant", "on"), new]) == (Message("assistant", "on"), new)


async def test_a_belief_that_cannot_be_read_stops_nobody() -> None:
    """Nor does a model that reads plain text alone."""
    (task,) = catalogue("city").tasks(site=CITIES[0], split="work", n=1)
    walk = Message("assistant", "on", tool_calls=(ToolCall("", "walk", {"way": "north"}),))
    model = ScriptedModel(["what?", "what?", walk] * 40)
    episode = await Agent(model, None, planner=Belief()).run(task, CityWorld(), RUN)
    assert not [one for one in episode.messages if one.agent == BELIEF]
    plain = ScriptedModel(["on. > north"] * 40, style="plain")
    episode = await Agent(plain, None, planner=Belief()).run(task, CityWorld(), RUN)
    assert episode.outcome == "failure"


@pytest.mark.parametrize("city", CITIES[:2])
async def test_the_expert_of_a_city_arrives_by_the_shortest_way(city: str) -> None:
    """Every corner can be reached; a city is the same always; a way back can be taken."""
    kind = CityCatalogue()
    for task in kind.tasks(site=city, split="gate", n=3):
        world = kind.make()
        await world.reset(task)
        kept, ways, done = world.snapshot(), list[str](), False
        while not done and len(ways) < 40:
            ways += world.expert()
            done = (await world.step(ToolCall("", "walk", {"way": ways[-1]}))).done
        assert done
        world.restore(task, kept)
        assert world.expert() == (ways[0],)
        assert tuple(ways) == make_city(city).route(*ends(task))
    assert make_city(city) == make_city(city)


async def test_a_city_tells_what_it_is_not() -> None:
    """Names, splits, corners and ways that are none."""
    kind = catalogue("city")
    with pytest.raises(BadInput, match="no split 'family'"):
        kind.tasks(site=CITIES[0], split="family", n=1)
    with pytest.raises(BadInput, match="no corner"):
        kind.task({"site": CITIES[0], "start": [0, 0], "goal": [9, 0]})
    (task,) = kind.tasks(site=CITIES[0], split="work", n=1)
    assert kind.task(task.config) == task
    world = CityWorld()
    await world.reset(task)
    refused = await world.step(ToolCall("", "walk", {"way": "up"}))
    assert refused.ok is False


def test_roads_lead_both_ways() -> None:
    """And no farther than the next corner."""
    city = make_city(CITIES[0])
    back = {"north": "south", "south": "north", "east": "west", "west": "east"}
    for (x, y), way in city.roads:
        there = (x + AXES[way][0], y + AXES[way][1])
        assert (there, back[way]) in city.roads
    route = city.route((0, 0), (6, 6))
    assert all(one in city.ways(at) for at, one in zip(path(route), route, strict=False))


def path(route: Sequence[str]) -> list[tuple[int, int]]:
    at = [(0, 0)]
    for way in route:
        at.append((at[-1][0] + AXES[way][0], at[-1][1] + AXES[way][1]))
    assert all(abs(a - c) + abs(b - d) == 1 for (a, b), (c, d) in pairwise(at))
    return at
