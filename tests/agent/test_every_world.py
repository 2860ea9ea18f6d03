"""What holds of every kind of world, ours and those of others: one contract, one list of kinds.

A new kind is a line of `BUNDLED` or `OF_OTHERS`. Those of others are heavy: `pytest -m slow
tests/agent/test_every_world.py`, with their packages installed (extra `worlds`). Worlds of several tools (the
cluster, AgentDojo's suites) are led by calls that depend on what was answered, not by a list of commands:
their own tests play them.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import tarfile
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from importlib.util import find_spec
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, cast

import pytest

from agent.loop import Agent
from agent.models.scripted import FunctionModel
from agent.opening import Run
from agent.types import Catalogue, Choices, Expert, Observation, Snapshots, Task, ToolSpec, World
from agent.worlds.catalogue import catalogue
from agent.worlds.pddl.problems import DOMAINS
from memory.codec import dumps
from memory.errors import WorldError
from memory.types import Episode, ToolCall

Gold = Callable[[Catalogue, Task], Awaitable[Sequence[str]]]
ROOM = 6
"""Steps that the tests here take beside the gold way."""
GAMES = Path(os.environ.get("APPRENTICE_DATA", Path(__file__).resolve().parents[3] / "shared" / "data"))


@dataclass(frozen=True)
class Kind:
    """One kind of world, and how the way to its goals is known to whoever measures."""

    name: str
    open: Callable[[], Catalogue]
    site: str
    split: str
    gold: Gold
    n: int = 3
    """Tasks that are tried."""
    is_in_order: bool = True
    """Does it list what is there in the same order each time?"""


async def by_expert(worlds: Catalogue, task: Task) -> Sequence[str]:
    """The way of a world that knows the right actions: another object than the agent's."""
    world = worlds.make()
    await world.reset(task)
    way: list[str] = []
    while commands := cast(Expert, world).expert():
        way.append(commands[0])
        if (await world.step(call(world, way[-1]))).done:
            break
    return way


async def by_catalogue(worlds: Catalogue, task: Task) -> Sequence[str]:
    """The way that a kind of another's tells of its tasks."""
    return list(cast(Any, worlds).gold(task))


def scienceworld() -> Catalogue:
    _need("scienceworld")
    if shutil.which("java") is None:
        pytest.skip("run `apt-get install default-jre`")
    from agent.worlds.scienceworld import ScienceWorld

    return ScienceWorld(max_steps=200)


@cache
def _games() -> Path:
    archive = GAMES / "alfworld.tar.xz"
    if not archive.exists():
        pytest.skip("set APPRENTICE_DATA to the folder of alfworld.tar.xz")
    folder = Path(mkdtemp(prefix="alfworld-"))
    with tarfile.open(archive) as opened:
        wanted = (one for one in opened if "valid_seen/pick_and_place_simple" in one.name)
        opened.extractall(folder, members=wanted, filter="data")
    return folder / "json_2.1.1"


def alfworld() -> Catalogue:
    _need("alfworld")
    from agent.worlds.alfworld import Alfworld

    return Alfworld(_games())


def miniwob() -> Catalogue:
    _need("miniwob")
    from agent.worlds.miniwob import MiniWob

    return MiniWob()


def babyai() -> Catalogue:
    _need("minigrid")
    from agent.worlds.babyai import BabyAi

    return BabyAi()


def textworld() -> Catalogue:
    _need("textworld")
    from agent.worlds.textworld import TextWorld

    return TextWorld(_kept())


@cache
def _kept() -> Path:
    return Path(mkdtemp(prefix="textworld-"))


def pddl() -> Catalogue:
    _need("unified_planning")
    from agent.worlds.pddl.world import Pddl

    return Pddl(levels=(1, 2))  # the planner may take minutes for level 3


async def by_planner(worlds: Catalogue, task: Task) -> Sequence[str]:
    """A planner's way."""
    _need("up_pyperplan")
    return list(cast(Any, worlds).gold(task))


def _need(package: str) -> None:
    if find_spec(package) is None:
        pytest.skip(f"run `pip install {package}`")


BUNDLED = [
    Kind("household", partial(catalogue, "household"), "maple 27", "work", by_expert),
    Kind("workshop", partial(catalogue, "workshop"), "maple 27", "work", by_expert),
    Kind("city", partial(catalogue, "city"), "maple 27", "work", by_expert),
]
OF_OTHERS = [
    Kind("babyai", babyai, "GoToLocal", "test", by_catalogue, n=5),
    Kind("babyai-doors", babyai, "UnlockLocal", "test", by_catalogue, n=5),
    Kind("scienceworld", scienceworld, "find-plant", "dev", by_catalogue, n=2, is_in_order=False),
    Kind("alfworld", alfworld, "pick_and_place_simple", "valid_seen", by_catalogue, n=2),
    Kind("miniwob", miniwob, "click-button", "train", by_catalogue, n=2),
    Kind("textworld", textworld, "cook-2", "test", by_catalogue, n=2),
    Kind("textworld-treasure", textworld, "treasure-15", "train", by_catalogue, n=2),
    *(Kind(f"pddl-{site}", pddl, site, "test", by_planner, n=3) for site in DOMAINS),
]
KINDS = [*(pytest.param(kind, id=kind.name) for kind in BUNDLED)] + [
    pytest.param(kind, id=kind.name, marks=pytest.mark.slow) for kind in OF_OTHERS
]
each_kind = pytest.mark.parametrize("kind", KINDS)


def call(world: World, command: str) -> ToolCall:
    """A command as a call of the world's one tool."""
    (tool,) = world.tools()
    (name,) = cast(Mapping[str, Any], tool.parameters["properties"])
    return ToolCall("c", tool.name, {name: command})


async def played(kind: Kind, world: World, task: Task, way: Sequence[str]) -> list[Observation]:
    """The opening and every answer."""
    seen = [in_order(kind, await world.reset(task))]
    for command in way:
        seen.append(in_order(kind, await world.step(call(world, command))))
        if seen[-1].done:
            break
    return seen


def in_order(kind: Kind, said: Observation) -> Observation:
    """The answer, its lines in an order of ours where the world has none."""
    return said if kind.is_in_order else replace(said, text="\n".join(sorted(said.text.splitlines())))


def ended(world: World) -> None:
    """Processes of worlds that have any go at once."""
    if close := getattr(world, "close", None):
        close()


@each_kind
async def test_tasks_are_the_same_each_time_and_rebuilt_from_their_configuration(kind: Kind) -> None:
    """By another catalogue too; what is drawn is of its split."""
    one, other = kind.open(), kind.open()
    tasks = one.tasks(site=kind.site, split=kind.split, n=kind.n, seed=5)
    assert other.tasks(site=kind.site, split=kind.split, n=kind.n, seed=5) == tasks
    assert len({task.id for task in tasks}) == kind.n
    for task in tasks:
        assert other.task(json.loads(json.dumps(dict(task.config)))) == task
        assert other.split_of(task) == kind.split
        assert (task.world, bool(task.text)) == (one.name, True)


@each_kind
async def test_the_gold_way_reaches_the_goal_twice_alike(kind: Kind) -> None:
    """In two worlds, and in one of them again: every answer is the same; what is over says so."""
    worlds = kind.open()
    for task in worlds.tasks(site=kind.site, split=kind.split, n=kind.n):
        way, one, other = await kind.gold(worlds, task), worlds.make(), worlds.make()
        seen = await played(kind, one, task, way)
        assert (seen[-1].done, seen[-1].outcome) == (True, "success"), (task, way)
        assert await played(kind, other, task, way) == seen
        assert await played(kind, one, task, way) == seen
        with pytest.raises(WorldError, match="over"):
            await one.step(call(other, way[0]))
        ended(one)
        ended(other)


@each_kind
async def test_chance_is_answered_alike_in_two_worlds(kind: Kind) -> None:
    """Commands drawn from those on offer, where a world tells them, and from the gold way of another task."""
    worlds = kind.open()
    task, another = worlds.tasks(site=kind.site, split=kind.split, n=2)
    known, rng = list(await kind.gold(worlds, another)), random.Random(3)
    one, other = worlds.make(), worlds.make()
    assert in_order(kind, await one.reset(task)) == in_order(kind, await other.reset(task))
    for _ in range(8):
        offers = one.commands() if isinstance(one, Choices) else ()
        command = rng.choice([*offers, *known])
        said = await one.step(call(one, command))
        assert in_order(kind, await other.step(call(other, command))) == in_order(kind, said)
        if said.done:
            break
    ended(one)
    ended(other)


@each_kind
async def test_the_gold_way_is_nowhere_an_agent_looks(kind: Kind) -> None:
    """Not in the task, its tool, the opening, what commands are answered, nor the record of a run."""
    worlds = kind.open()
    for task in worlds.tasks(site=kind.site, split=kind.split, n=kind.n):
        way, world = await kind.gold(worlds, task), worlds.make()
        episode = await wandering(task, world)
        shown = dumps([task, episode, *world.tools()])
        assert not told(way, shown), (way, shown)
        ended(world)


async def test_a_world_that_tells_the_gold_way_is_found_out() -> None:
    """In the answer to a wrong command; else the test above could not fail."""
    kind = BUNDLED[0]
    worlds = kind.open()
    (task,) = worlds.tasks(site=kind.site, split=kind.split, n=1)
    way = await kind.gold(worlds, task)
    assert len(way) > 1
    for joint in JOINTS:
        leaky = Leaky(worlds.make(), joint.join(way))
        assert told(way, dumps(await wandering(task, leaky)))


JOINTS = (", ", "; ", "\n", ". ", "', '", '", "', " > ", " -> ", " then ")
"""Between the steps of a way that somebody would write down."""


def told(way: Sequence[str], shown: str) -> bool:
    """Do the first steps of a way stand together anywhere in a JSON text?"""
    steps = [json.dumps(one)[1:-1] for one in way[:3]]
    return len(steps) > 1 and any(json.dumps(joint)[1:-1].join(steps) in shown for joint in JOINTS)


async def wandering(task: Task, world: World) -> Episode:
    """A run of commands that mean nothing, as the agent's own loop records it."""
    agent = Agent(FunctionModel(lambda _: "lost > xyzzy the plugh", style="plain"), memory=None)
    return await agent.run(replace(task, max_steps=3), world, Run("contract", "tests", "ep_1"))


class Leaky:
    """Another world, which says at each step what should have been done."""

    def __init__(self, world: World, way: str) -> None:
        self._world, self._way = world, way

    def tools(self) -> tuple[ToolSpec, ...]:
        return self._world.tools()

    async def reset(self, task: Task) -> Observation:
        return await self._world.reset(task)

    async def step(self, call: ToolCall) -> Observation:
        said = await self._world.step(call)
        return replace(said, text=f"{said.text} you should have done this: {self._way}")


@each_kind
async def test_bad_calls_are_told_and_cost_nothing_but_a_step(kind: Kind) -> None:
    """No such tool, no such argument, words that mean nothing: the goal can still be reached."""
    worlds = kind.open()
    (drawn,) = worlds.tasks(site=kind.site, split=kind.split, n=1)
    task = replace(drawn, max_steps=drawn.max_steps + ROOM)
    way, world = await kind.gold(worlds, drawn), worlds.make()
    await world.reset(task)
    (tool,) = world.tools()
    for bad in (
        ToolCall("c", "no_such_tool", {}),
        ToolCall("c", tool.name, {}),
        ToolCall("c", tool.name, {"no_such_argument": 7}),
    ):
        answer = await world.step(bad)
        assert (answer.ok, answer.done) == (False, False)
        assert bad.name in answer.text, "the answer names the call"
    assert not (await world.step(call(world, "xyzzy the plugh"))).done
    for command in way:
        last = await world.step(call(world, command))
    assert (last.done, last.outcome) == (True, "success")
    ended(world)


@each_kind
async def test_a_snapshot_goes_on_in_another_world(kind: Kind) -> None:
    """After every step of the gold way, through JSON; those that offer none are passed over."""
    worlds = kind.open()
    (task,) = worlds.tasks(site=kind.site, split=kind.split, n=1)
    world = worlds.make()
    if not isinstance(world, Snapshots):
        pytest.skip(f"{kind.name} offers no snapshots")
    way = await kind.gold(worlds, task)
    whole = await played(kind, world, task, way)
    await world.reset(task)
    for done, command in enumerate(way):
        other = worlds.make()
        assert isinstance(other, Snapshots)
        other.restore(task, json.loads(json.dumps(world.snapshot())))
        rest = [await cast(World, other).step(call(world, one)) for one in way[done:]]
        assert rest == whole[done + 1 :]
        await world.step(call(world, command))


@each_kind
async def test_a_world_without_a_task_says_so(kind: Kind) -> None:
    world = kind.open().make()
    with pytest.raises(WorldError, match="reset"):
        await world.step(call(world, "look"))
    ended(world)
