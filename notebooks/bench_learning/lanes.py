"""A lane: one system at one site with one seed, its episodes one after the other; many lanes side by side."""

from __future__ import annotations

import asyncio
import random
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from agent.loop import Agent
from agent.models.local.model import LocalModel
from agent.opening import Run
from agent.types import Model, Task
from agent.worlds.catalogue import MAX_STEPS, catalogue
from memory.core import Memory
from memory.encoder import Encoder
from memory.entry import Matrix, Vector
from memory.minilm import MiniLm
from memory.types import CaseBody, Episode, Item
from notebooks.bench_learning.arms import MAIN, MORE, Arm
from notebooks.bench_learning.notes import Notes
from notebooks.bench_learning.plan import TINY, WORLD, Plan
from notebooks.bench_learning.stage import Echo, at_once


@dataclass(frozen=True, slots=True)
class Lane:
    """Its name is its namespace: nothing leaks from one to another."""

    arm: str
    site: str
    seed: int

    @property
    def name(self) -> str:
        return f"{self.arm}/{self.site}/{self.seed}"


@dataclass(frozen=True, slots=True)
class Lived:
    """One episode."""

    task: int
    """Number of the task in the lane."""
    round: int
    """0 when it is met for the first time; -1 at the frozen end."""
    success: bool
    steps: int
    """A failure counts as the most there are: a rule broken early is no quick success."""
    tokens: int
    """Read and written while acting."""
    learning: int
    """Read and written while reflecting."""
    items: int
    """Shown."""
    principles: int


class OnceEncoder:
    """Encodes each text once, however many memories ask."""

    def __init__(self, inner: Encoder) -> None:
        self._inner = inner
        self._known: dict[str, Vector] = {}

    @property
    def generation(self) -> str:
        return self._inner.generation

    @property
    def dim(self) -> int:
        return self._inner.dim

    @property
    def floor(self) -> float:
        return self._inner.floor

    def encode(self, texts: Sequence[str]) -> Matrix:
        fresh = [text for text in dict.fromkeys(texts) if text not in self._known]
        if fresh:
            self._known.update(zip(fresh, self._inner.encode(fresh), strict=True))
        return np.stack([self._known[text] for text in texts])


async def live(lane: Lane, arm: Arm, model: Model, memory: Memory, plan: Plan) -> list[Lived]:
    """All episodes of a lane: every task `passes` times, then unseen ones with memory frozen."""
    agent = Agent(model, memory, settings=arm.agent, advantage=arm.advantage)
    kind = catalogue(WORLD)
    tasks = kind.tasks(site=lane.site, split="work", n=plan.tasks, seed=lane.seed)
    found = []
    for number, (place, turn) in enumerate(order(lane.seed, plan.tasks, plan.passes)):
        task = tasks[place]
        space = f"{lane.name}/{task.id}" if arm.is_per_task else lane.name
        run = Run(space, "bench", f"{lane.name}/{number}", memory=arm.mode)
        episode = await agent.run(task, kind.make(), run)
        spent = 0
        if arm.mode == "learn":
            report = await agent.learn(episode)
            spent = report.reflection.usage.prompt_tokens + report.reflection.usage.completion_tokens
            if arm.says_why:
                _say_why(episode, report.items, memory)
        found.append(_lived(episode, place, turn, spent))
        if arm.tidied_every and len(found) % arm.tidied_every == 0:
            await asyncio.to_thread(memory.consolidate, lane.name)
    found += await _frozen(lane, arm, agent, plan, tasks)
    return found


def _say_why(episode: Episode, items: Sequence[Item], memory: Memory) -> None:
    broken = next((message.rule for message in episode.messages if message.rule), "")
    for item in items:
        body = item.body
        if isinstance(body, CaseBody) and broken and broken not in body.lesson:
            told = replace(body, lesson=f"{body.lesson} {broken}".strip())
            memory.edit(
                *(item.namespace, item.id),
                text=f"{item.text} {broken}",
                body=told,
                principal="bench",
                channel="operator",
            )


async def _frozen(lane: Lane, arm: Arm, agent: Agent, plan: Plan, known: Sequence[Task]) -> list[Lived]:
    kind, mode = catalogue(WORLD), "off" if arm.mode == "off" else "frozen"
    unseen = kind.tasks(site=lane.site, split="gate", n=plan.unseen, seed=lane.seed)
    assert not {task.id for task in unseen} & {task.id for task in known}
    found = []
    for number, task in enumerate(unseen):
        space = f"{lane.name}/{task.id}" if arm.is_per_task else lane.name
        run = Run(space, "bench", f"{lane.name}/unseen/{number}", memory=mode)
        found.append(_lived(await agent.run(task, kind.make(), run), number, -1, 0))
    return found


def order(seed: int, tasks: int, passes: int) -> Iterator[tuple[int, int]]:
    """Tasks and passes: each pass in an order of its own."""
    for turn in range(passes):
        places = list(range(tasks))
        if turn:
            random.Random(f"{seed}/{turn}").shuffle(places)
        yield from ((place, turn) for place in places)


def _lived(episode: Episode, task: int, turn: int, learning: int) -> Lived:
    is_done, recall, usage = episode.outcome == "success", episode.recall, episode.usage
    assert episode.outcome in {"success", "failure"}, episode.error
    return Lived(
        task,
        turn,
        is_done,
        episode.steps if is_done else MAX_STEPS,
        usage.prompt_tokens + usage.completion_tokens,
        learning,
        sum(one.shown for one in recall.items) if recall else 0,
        len(recall.constitution) if recall else 0,
    )


def measure(plan: Plan) -> None:
    """The curves: all lanes of this process that are not there yet."""
    jobs = [("curve", arms, plan, seed) for arms in (MAIN,) for seed in plan.own_seeds]
    few = replace(plan, sites=plan.sites[::2])
    jobs += [("variant", {**MORE, "ours": MAIN["ours"]}, few, seed) for seed in plan.own_seeds]
    model = LocalModel.load(TINY, name="local:tiny")
    notes, echo, encoder = Notes(plan.notes("curves")), Echo(model), OnceEncoder(MiniLm())
    try:
        for what, arms, size, seed in jobs:
            asyncio.run(_lanes(what, arms, size, seed, echo, encoder, notes))
    finally:
        model.close()


async def _lanes(
    what: str, arms: Mapping[str, Arm], plan: Plan, seed: int, model: Model, encoder: Encoder, notes: Notes
) -> None:
    """All arms at all sites with one seed, a database for each arm."""
    wanted = [
        (name, arm, sites)
        for name, arm in arms.items()
        if (sites := [s for s in plan.sites if not notes.has(what, arm=name, site=s, seed=seed)])
    ]
    memories = {name: _opened(plan.folder / f"{what}-{seed}-{place}", arm, encoder)
                for place, (name, arm, _) in enumerate(wanted)}  # fmt: skip
    jobs = [
        partial(_noted, what, Lane(name, site, seed), arm, model, memories[name], plan, notes)
        for name, arm, sites in wanted
        for site in sites
    ]
    await at_once(jobs)
    for memory in memories.values():
        memory.close()


async def _noted(
    what: str, lane: Lane, arm: Arm, model: Model, memory: Memory, plan: Plan, notes: Notes
) -> None:
    lived = await live(lane, arm, model, memory, plan)
    notes.add(what, **asdict(lane), lived=[list(asdict(one).values()) for one in lived])


def _opened(folder: Path, arm: Arm, encoder: Encoder) -> Memory:
    shutil.rmtree(folder, ignore_errors=True)
    return Memory.open(folder / "memory.db", encoder=encoder, settings=arm.recall)
