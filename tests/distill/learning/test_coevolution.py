"""A curriculum of its own: tasks at the edge are chosen, done, and learned; then the edge is further on."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from statistics import fmean

import pytest

from agent.guards.feasible import FeasibleSettings
from agent.models.local.model import LocalModel
from agent.models.scripted import FunctionModel
from agent.types import Model, Request, Task
from agent.worlds.catalogue import ACT
from distill.recipes import recipe_named
from distill.sources.edge import AtFrontier
from distill.sources.finding import Search
from distill.sources.frontier import Frontier
from distill.sources.known import Known
from memory.errors import BadInput
from memory.types import Episode, Json, Message
from tests.distill.learning.halls import DOORS, MAPLE, UP, acting, knowing, last_seen, walked
from tests.distill.learning.schooling import SHORT, made, taught, tell
from tests.distill.proposing import fine

pytestmark = pytest.mark.slow
CORRIDOR = tuple(MAPLE.way)
LONG = replace(SHORT, min_updates=80)
SLACK, ROUNDS, BATCH, TRIES = 6, 3, 2, 16


def task_of(config: Mapping[str, Json]) -> Task:
    """A walk through the halls that its text names, one after the other."""
    text = str(config.get("text"))
    halls = text.removeprefix("pass ").removesuffix(" .").split()
    begin = CORRIDOR.index(halls[0]) if halls and halls[0] in CORRIDOR else -1
    if begin < 0 or tuple(halls) != CORRIDOR[begin : begin + len(halls)]:
        raise BadInput(f"no walk is {text!r}")
    return Task(text, text, "halls", MAPLE.name, {"halls": list(halls)}, max_steps=len(halls) + SLACK)


def walk(begin: int, length: int) -> str:
    return f"pass {' '.join(CORRIDOR[begin : begin + length])} ."


def level(task: Task) -> int:
    """How far the walk goes."""
    return CORRIDOR.index(task.text.split()[-2])


def proposer(chance: random.Random) -> FunctionModel:
    """Knows nothing: walks of three halls, from anywhere."""

    def write(_: tuple[Message, ...]) -> str:
        begins = chance.sample(range(len(CORRIDOR) - 2), len(CORRIDOR) - 2)
        return json.dumps({"tasks": [walk(begin, 3) for begin in begins]})

    return FunctionModel(write)


def exploring(model: Model, chance: random.Random) -> FunctionModel:
    """The model; but from below it comes up again, and half of the doors it tries are any."""

    async def answer(messages: tuple[Message, ...]) -> str:
        if "cellar" in last_seen(messages):
            return f"> {UP}"
        if chance.random() < 0.5:
            return f"> {chance.choice(DOORS)}"
        (reply,) = await model.complete(Request(messages, max_tokens=8))
        return reply.message.text

    return FunctionModel(answer, name="exploring", style="plain")


def tried(folder: Path, texts: Sequence[str], name: str) -> list[Episode]:
    """What the executor does now, many times each."""
    with closing(LocalModel.load(folder, name=name)) as model:

        async def one(text: str, id_: str) -> Episode:
            executor = exploring(model, random.Random(id_))
            return await walked(MAPLE, task_of({"text": text}), executor, id_)

        async def live() -> list[Episode]:
            runs = (one(text, f"{name}-{n}-{text}") for text in texts for n in range(TRIES))
            return list(await asyncio.gather(*runs))

        return asyncio.run(live())


async def shown(texts: Sequence[str]) -> list[Episode]:
    """Demonstrations of somebody who knows the way."""
    tasks = [task_of({"text": text}) for text in texts]
    return [await walked(MAPLE, one, acting(knowing(MAPLE)), f"shown-{one.id}") for one in tasks]


async def chosen(episodes: Sequence[Episode], chance: random.Random) -> tuple[Task, ...]:
    """Agent0's source over what the executor does now."""
    known = Known("halls", MAPLE.name, task_of, episodes=tuple(episodes), tools=(ACT,))
    frontier = Frontier(near=FeasibleSettings(votes=0, recent=1000, k=3 * TRIES, width=0.15))
    found = await Search(AtFrontier(), proposer(chance).complete, fine, frontier).run(known, BATCH)
    return tuple(one.task for one in found.chosen)


def test_the_tasks_that_are_accepted_get_harder_as_the_executor_learns(novice: Path, tmp_path: Path) -> None:
    """Agent0: three rounds; only successes of the batches train, always from the base, over all memory."""
    chance = random.Random(3)
    memory = asyncio.run(shown([walk(begin, 2) for begin in range(3)]))
    executor = taught([made(recipe_named("step"), memory)], novice, tmp_path / "0", LONG)
    levels, shares = list[float](), list[float]()
    for n in range(ROUNDS):
        survey = tried(executor, [walk(begin, 2) for begin in range(len(CORRIDOR) - 1)], f"survey{n}")
        batch = asyncio.run(chosen(survey, chance))
        done = tried(executor, [one.text for one in batch], f"round{n}")
        tell(f"{[one.text for one in batch]}")
        levels.append(sum(map(level, batch)) / len(batch))
        shares.append(sum(one.outcome == "success" for one in done) / len(done))
        memory += done
        executor = taught([made(recipe_named("step"), memory)], novice, tmp_path / f"{n + 1}", LONG)
    tell(f"agent0: levels {levels}, done {shares}")
    # The corridor ends: once its last halls are the edge, nothing harder is left to choose.
    assert levels == sorted(levels)
    assert levels[-1] >= levels[0] + 3
    assert 0.1 <= fmean(shares) <= 0.9
