"""What jobs do: run a task, learn from its episode, tidy up. No HTTP here."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass

from agent.desk import Kit
from agent.learning.verdicts import judged
from agent.loop import Agent
from memory.codec import from_json
from memory.errors import ApprenticeError
from memory.modes import USES
from memory.types import Episode, Json, Mode, Outcome, Usage
from server.agents import at_work, learner_settings
from server.jobs import JobAddress, JobKind, JobRun, json_object
from server.metrics import Metrics
from server.orders import TaskOrder
from server.services import Core
from server.spawning import Spawner
from server.worlds import TOOLS

TASK, LEARN, TEND = "task", "learn", "tend"
LEARNERS = 8
"""Episodes that are reflected on at the same time, each of another namespace."""
LEARNABLE = ("success", "failure")


@dataclass(frozen=True, slots=True)
class TaskResult:
    """What a task's job keeps of its episode; the rest is in memory."""

    outcome: Outcome | None = None
    reward: float | None = None
    steps: int | None = None
    usage: Usage | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class LearnOrder:
    """An episode to learn from, and the model that reflects."""

    episode: str
    model: str


def episode_id(task_id: str) -> str:
    """The episode a task leaves."""
    return f"ep_{task_id.removeprefix('task_')}"


def is_learnable(episode: Episode) -> bool:
    """Is anything to be learned from it, by how it went and by its mode?"""
    return USES[episode.mode].learns and episode.outcome in LEARNABLE


class Work:
    """The handlers of the server's own jobs."""

    def __init__(self, core: Core, metrics: Metrics, *, retention_s: float) -> None:
        self._core = core
        self._metrics = metrics
        self._retention_s = retention_s

    async def run_task(self, run: JobRun, arguments: Mapping[str, Json]) -> dict[str, Json]:
        """Act until the task ends; the episode is saved, then learning is queued."""
        order = from_json(TaskOrder, dict(arguments))
        namespace = run.address.namespace
        task = await asyncio.to_thread(self._core.worlds.task, order.world, order.config)
        kits = self._spawning(run.address, order)
        async with at_work(self._core, namespace, order.model, order.ways(), kits) as agent:
            episode = await agent.run(
                task,
                await self._core.worlds.enter(task, namespace),
                order.attempt(namespace, episode_id(run.address.id)),
                run,
                save=lambda cut: self._save_cut(run.address, order.marked(cut)),
            )

        # With its verdicts, as learning will see it.
        episode = order.marked(judged(episode))

        async def save() -> Json:
            await asyncio.to_thread(self._core.memory.record, episode, principal=order.principal)
            await self._core.quotas.spend(namespace, episode.usage, episode=episode.id)
            return None

        await run.step("save", save)
        self._count(episode, order.mode)
        if is_learnable(episode):
            learn = JobAddress(namespace, LEARN, episode.id)
            await run.enqueue(learn, json_object(LearnOrder(episode.id, order.model)))
        return json_object(
            TaskResult(episode.outcome, episode.reward, episode.steps, episode.usage, episode.error)
        )

    async def learn(self, run: JobRun, arguments: Mapping[str, Json]) -> dict[str, Json]:
        """Reflect on one episode; jobs of a namespace come one after the other."""
        order = from_json(LearnOrder, dict(arguments))
        memory = self._core.memory
        episode = await asyncio.to_thread(memory.episode, run.address.namespace, order.episode)
        try:
            async with self._core.models.use(self._core.models.still(order.model)) as model:
                settings = await learner_settings(self._core, run.address.namespace)
                report = await Agent(model, memory, settings=settings).learn(episode, run)
        except ApprenticeError:
            self._metrics.learn_errors.inc()
            raise
        self._metrics.spent_learning(report.reflection.usage)
        for item in report.items:
            self._metrics.learned.labels(item.kind).inc()
        self._metrics.last_learned.set(time.time())
        return {"items": [item.id for item in report.items]}

    async def tend(self, run: JobRun, _arguments: Mapping[str, Json]) -> dict[str, Json]:
        """Daily: take up learning that failed, forget old jobs."""

        async def do() -> Json:
            resumed = 0
            for address in await self._core.jobs.failed(LEARN):
                await self._core.jobs.resume(address)
                resumed += 1
            return {"resumed": resumed, "pruned": await self._core.jobs.prune(older_than_s=self._retention_s)}

        done = await run.step("tend", do)
        assert isinstance(done, dict)
        return done

    def kinds(self, *, max_tasks: int) -> dict[str, JobKind]:
        """What the job engine is told."""
        return {
            TASK: JobKind(self.run_task, limit=max_tasks, prompt=True, share=self._core.quotas.share),
            LEARN: JobKind(self.learn, limit=LEARNERS, ordered=True),
            TEND: JobKind(self.tend, limit=1),
        }

    def _spawning(self, address: JobAddress, order: TaskOrder) -> tuple[Kit, ...]:
        """The tool that sets tasks, where any may be set."""
        may = self._core.checks.max_spawns > 0 and order.world == TOOLS
        return (Spawner(self._core, address, order),) if may else ()

    async def _save_cut(self, address: JobAddress, episode: Episode) -> None:
        # A cancelled task leaves what it did. One cut off by a shutdown goes on later and saves then.
        if (await self._core.jobs.get(address)).state == "cancelled":
            await asyncio.to_thread(self._core.memory.record, episode, principal=episode.principal)
            await self._core.quotas.spend(address.namespace, episode.usage, episode=episode.id)

    def _count(self, episode: Episode, mode: Mode) -> None:
        self._metrics.tasks.labels(episode.world, mode, episode.outcome).inc()
        self._metrics.task_steps.labels(episode.world, mode).observe(episode.steps)
        self._metrics.spent_learning(episode.learning)
        if episode.model.startswith("local:"):
            self._metrics.adapter_tasks.labels(episode.model, episode.adapter or "", episode.outcome).inc()
        self._metrics.spent(episode.model, episode.usage)
