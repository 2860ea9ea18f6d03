"""Improving a flow as a job: programs are tried on tasks of a site, what holds on others is kept."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import count

from agent.generate.flows import Score, proven_flow
from agent.journal import MemoryJournal
from agent.opening import Run
from agent.planners.flow import Flow, best_flow, keep_flow
from agent.planners.program import Program, parse
from agent.types import Ask, Model, Reply, Request, Task
from memory.codec import from_json, to_json
from memory.errors import BadInput
from memory.types import FlowBody, Json
from server.agents import Ways, at_work
from server.jobs import JobKind, JobRun, json_object
from server.services import Core
from server.worlds import Worlds

FLOW = "flow"
PLAIN = "do ::: process ::: Do the task. ::: next::end\nend ::: terminal ::: Say what came of it."
"""Where a family has no flow yet and none is given."""


@dataclass(frozen=True, slots=True)
class FlowOrder:
    """An improvement as it is stored with its job."""

    principal: str
    world: str
    site: str
    goal: str
    model: str
    tasks: int
    """That programs are scored on."""
    held_out: int
    """Others, that decide whether the best is kept."""
    epochs: int
    first: str | None
    seed: int


@dataclass(frozen=True, slots=True)
class FlowReport:
    """What came of it; scores are mean rewards, 0..1."""

    program: str
    """The best that was found."""
    item: str | None
    """Where it is kept; None where it did no more than the first on the held-out tasks."""
    tried: int
    first_score: float
    best_score: float
    first_held_out: float
    best_held_out: float


def tasks_of(order: FlowOrder, worlds: Worlds) -> tuple[tuple[Task, ...], tuple[Task, ...]]:
    """Training and held-out tasks, none in both. Raises NotFound, BadInput on what is not there."""
    n = order.tasks + order.held_out
    found = worlds.catalogue(order.world).tasks(site=order.site, split="work", n=n, seed=order.seed)
    return found[: order.tasks], found[order.tasks :]


class Flowing:
    """The handler of improvements."""

    def __init__(self, core: Core) -> None:
        self._core = core

    async def run(self, run: JobRun, arguments: Mapping[str, Json]) -> dict[str, Json]:
        """Improve for the job's namespace; after a crash it goes on behind the last score or proposal."""
        order = from_json(FlowOrder, dict(arguments))
        train, held_out = tasks_of(order, self._core.worlds)
        namespace, numbers = run.address.namespace, count(1)

        async def begin() -> Json:
            return await asyncio.to_thread(self._first, namespace, order, train[0].family)

        first = parse(str(await run.step("first", begin)))
        async with self._core.models.use(order.model) as model:
            if model.style == "plain":
                raise BadInput(f"{model.name!r} reads plain text and follows no flow: name another model")
            found = await proven_flow(
                _asked(run, model, numbers),
                self._scored(run, order, train, numbers),
                self._scored(run, order, held_out, numbers),
                first,
                goal=order.goal,
                epochs=order.epochs,
            )

        async def keep() -> Json:
            if not found.is_better:
                return None
            kept = (self._core.memory, namespace, found.best.program, order.goal, train[0].family)
            return (await asyncio.to_thread(keep_flow, *kept, principal=order.principal)).id

        item = await run.step("keep", keep)
        scores = (found.first.score, found.best.score, found.first_held_out, found.best_held_out)
        text = found.best.program.text
        return json_object(FlowReport(text, None if item is None else str(item), found.tried, *scores))

    def kinds(self) -> dict[str, JobKind]:
        """What the job engine is told: one at a time in a namespace."""
        return {FLOW: JobKind(self.run, limit=2, ordered=True)}

    def _first(self, namespace: str, order: FlowOrder, family: str) -> str:
        if order.first is not None:
            return order.first
        item = best_flow(self._core.memory, namespace, family)
        return PLAIN if item is None or not isinstance(item.body, FlowBody) else "\n".join(item.body.steps)

    def _scored(self, run: JobRun, order: FlowOrder, tasks: Sequence[Task], numbers: count[int]) -> Score:
        """Mean reward of a program over tasks that are worked without memory."""

        async def score(program: Program) -> float:
            total = 0.0
            for task in tasks:
                number = next(numbers)

                async def do(task: Task = task, number: int = number) -> Json:
                    return await self._reward(run, order, program, task, number)

                total += float(str(await run.step(f"score {number}", do)))
            return total / len(tasks)

        return score

    async def _reward(
        self, run: JobRun, order: FlowOrder, program: Program, task: Task, number: int
    ) -> float:
        namespace = run.address.namespace
        episode = f"{run.address.id}-{number}"
        attempt = Run(namespace, order.principal, episode, seed=order.seed, memory="off")
        async with at_work(self._core, namespace, order.model, Ways(Flow(program))) as agent:
            ended = await agent.run(task, self._core.worlds.make(task), attempt, MemoryJournal())
        return float(ended.outcome == "success") if ended.reward is None else min(1.0, max(0.0, ended.reward))


def _asked(run: JobRun, model: Model, numbers: count[int]) -> Ask:
    async def ask(request: Request) -> tuple[Reply, ...]:
        async def do() -> Json:
            return to_json(await model.complete(request))

        return from_json(tuple[Reply, ...], await run.step(f"ask {next(numbers)}", do))

    return ask


def report_of(output: Mapping[str, Json] | None) -> FlowReport | None:
    """What a job that has ended left."""
    return None if output is None else from_json(FlowReport, dict(output))
