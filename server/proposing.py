"""Tasks that the server proposes to itself, as a job: a source, the filter, a judge; what passes is set.

What is set is a task like any other: it says who proposed it and what of, and so does its episode.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from itertools import count

from agent.deliberate.asking import Counted
from agent.types import Ask, Model, Reply, Request
from distill.sources.finding import Found, Play, Search, by_model
from distill.sources.known import Candidate, Known, Played, Rehearsal
from distill.sources.named import source_named
from memory.codec import from_json, to_json
from memory.errors import BadInput, BudgetExceeded
from memory.types import Item, ItemKind, Json, Usage
from server.jobs import JobAddress, JobKind, JobRun, json_object
from server.orders import TaskOrder
from server.proposals import (
    PROPOSE,
    RISKS,
    ProposedTask,
    ProposeOrder,
    ProposeReport,
    RefusedTask,
    tokens_left,
)
from server.services import Core
from server.work import TASK
from server.worlds import TOOLS

TOLD: tuple[ItemKind, ...] = ("principle", "procedure", "safety", "tool_note")
"""Kinds of items that tasks are made of."""
_EPISODES, _ITEMS, _JOBS = 500, 200, 100
"""Newest that are looked at."""


@dataclass(frozen=True, slots=True)
class Looked:
    """What was found at the beginning, so that a search that goes on after a crash sees the same."""

    episodes: tuple[str, ...] = ()
    items: tuple[str, ...] = ()
    waiting: tuple[str, ...] = ()
    left: int | None = None
    """Tokens."""


@dataclass(slots=True)
class Meter:
    """What a search has spent of what it may spend."""

    left: int | None
    usage: Usage = field(default_factory=Usage)

    def check(self) -> None:
        """Raises BudgetExceeded."""
        spent = self.usage.prompt_tokens + self.usage.completion_tokens
        if self.left is not None and spent >= self.left:
            raise BudgetExceeded(f"the {self.left} tokens that were left of the day are used up")


class Proposing:
    """The handler of proposals."""

    def __init__(self, core: Core) -> None:
        self._core = core

    async def run(self, run: JobRun, arguments: Mapping[str, Json]) -> dict[str, Json]:
        """Search for the job's namespace, and set what was chosen; after a crash it goes on where it was."""
        order = from_json(ProposeOrder, dict(arguments))
        namespace = run.address.namespace

        async def look() -> Json:
            return to_json(await self._looked(namespace, order))

        looked = from_json(Looked, await run.step("look", look))
        known = await asyncio.to_thread(self._known, namespace, order, looked)
        meter = Meter(looked.left)
        async with AsyncExitStack() as held:
            agent = await held.enter_async_context(self._core.models.use(order.model))
            writer = await held.enter_async_context(self._core.models.use(order.writer))
            if writer.style == "plain":
                raise BadInput(f"{writer.name!r} reads plain text and writes no tasks: name another proposer")
            found = await _search(run, order, known, agent, writer, meter)
        return json_object(await self._taken(run, order, found, meter.usage))

    def kinds(self) -> dict[str, JobKind]:
        """What the job engine is told: one at a time in a namespace."""
        return {PROPOSE: JobKind(self.run, limit=2, ordered=True)}

    async def _looked(self, namespace: str, order: ProposeOrder) -> Looked:
        memory = self._core.memory
        lived = await asyncio.to_thread(memory.episodes, namespace, limit=_EPISODES, newest=True)
        items = await asyncio.to_thread(_told, self._core, namespace, order.family)
        jobs = await self._core.jobs.list(namespace, TASK, limit=_JOBS)
        waiting = [str(job.input["text"]) for job in jobs if not job.is_ended]
        episodes = tuple(one.id for one in lived if one.world == order.world)
        left = await tokens_left(self._core, namespace)
        return Looked(episodes, tuple(item.id for item in items), tuple(waiting), left)

    def _known(self, namespace: str, order: ProposeOrder, looked: Looked) -> Known:
        core, world = self._core, order.world
        lived = {one.id: one for one in core.memory.episodes(namespace, limit=_EPISODES, newest=True)}
        items = {item.id: item for item in _told(core, namespace, order.family)}
        known = Known(
            world,
            order.family,
            lambda config: core.worlds.task(world, config),
            episodes=tuple(lived[one] for one in looked.episodes if one in lived),
            items=tuple(items[one] for one in looked.items if one in items),
            waiting=looked.waiting,
        )
        if world == TOOLS:
            return replace(known, tools=tuple(tool.spec for tool in core.worlds.tools))
        catalogue = core.worlds.catalogue(world)
        declared = core.suites.of(namespace)
        return replace(
            known,
            listed={task.id: task for task in catalogue.all(order.family)},
            split=catalogue.split_of,
            held=() if declared is None else declared.tasks(),
            tools=catalogue.make().tools(),
        )

    async def _taken(self, run: JobRun, order: ProposeOrder, found: Found, usage: Usage) -> ProposeReport:
        """Keep what was played, and set the tasks."""
        kept = () if order.dry_run else await self._kept(run, order, found)
        ids = [await self._set(run, order, one) for one in found.chosen]
        tasks = tuple(_shown(one, id_) for one, id_ in zip(found.chosen, ids, strict=True))
        refused = tuple(RefusedTask(one.proposal.said, one.reason) for one in found.refused)
        return ProposeReport(tasks, len(found.spare), refused, kept, usage)

    async def _set(self, run: JobRun, order: ProposeOrder, one: Candidate) -> str | None:
        """The id of the task; none in a dry run, and where it may only be played."""
        if order.dry_run or order.source == RISKS:
            return None
        namespace, task = run.address.namespace, one.task
        self._core.suites.check(namespace, task.id, order.memory)
        digest = hashlib.sha256(f"{run.address.id} {task.id}".encode()).hexdigest()[:23]
        address = JobAddress(namespace, TASK, f"task_{digest}")
        asked = TaskOrder(
            task.world,
            task.family,
            task.text,
            dict(task.config),
            order.model,
            order.memory,
            order.budget,
            0,
            order.principal,
            one.channel or order.channel,
            proposed=one.lineage(order.source, run.address.id),
        )
        await run.enqueue(address, json_object(asked))
        return address.id

    async def _kept(self, run: JobRun, order: ProposeOrder, found: Found) -> tuple[str, ...]:
        """Played episodes as memory holds them: imagined, and nothing is learned of them."""

        async def keep() -> Json:
            ids: list[Json] = []
            for place, (one, candidate) in enumerate(zip(found.imagined, found.chosen, strict=True)):
                told = candidate.lineage(order.source, run.address.id).feedback()
                episode = replace(
                    one,
                    id=f"{run.address.id}-{place}",
                    namespace=run.address.namespace,
                    principal=order.principal,
                    feedback={**one.feedback, **told},
                )
                await asyncio.to_thread(self._core.memory.record, episode, principal=order.principal)
                ids.append(episode.id)
            return ids

        ids = await run.step("keep", keep) if found.imagined else []
        return tuple(map(str, ids)) if isinstance(ids, list) else ()


async def _search(
    run: JobRun, order: ProposeOrder, known: Known, agent: Model, writer: Model, meter: Meter
) -> Found:
    numbers = count(1)
    playing = Counted(writer.complete)
    source = source_named(order.source, agent, playing)
    ask = _asked(run, writer, numbers, meter)
    play = _played(run, source, known, playing, meter, numbers) if isinstance(source, Played) else None
    return await Search(source, ask, by_model(ask), play=play).run(known, order.n)


def _asked(run: JobRun, model: Model, numbers: count[int], meter: Meter) -> Ask:
    async def ask(request: Request) -> tuple[Reply, ...]:
        meter.check()

        async def do() -> Json:
            return to_json(await model.complete(request))

        replies = from_json(tuple[Reply, ...], await run.step(f"ask {next(numbers)}", do))
        meter.usage += sum((reply.usage for reply in replies), Usage())
        return replies

    return ask


def _played(
    run: JobRun, source: Played, known: Known, playing: Counted, meter: Meter, numbers: count[int]
) -> Play:
    async def play(candidate: Candidate) -> Rehearsal:
        meter.check()

        async def do() -> Json:
            playing.usage = Usage()
            found = await source.play(candidate, known)
            told = replace(found, episode=replace(found.episode, learning=playing.usage))
            return to_json(told)

        rehearsal = from_json(Rehearsal, await run.step(f"play {next(numbers)}", do))
        meter.usage += rehearsal.episode.usage + rehearsal.episode.learning
        return rehearsal

    return play


def _shown(one: Candidate, id_: str | None) -> ProposedTask:
    near = round(one.n, 3)
    return ProposedTask(
        one.task.text, dict(one.task.config), id_, one.proposal.items, one.p, near, one.quality
    )


def _told(core: Core, namespace: str, family: str) -> Sequence[Item]:
    """What holds for a family, kind by kind."""
    found = (core.memory.items(namespace, kind=kind, status="active", limit=_ITEMS) for kind in TOLD)
    return [item for items in found for item in items if item.family in (None, family)]
