"""What the proofs share: a model that echoes, memory with something planted, episodes that only count."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

from agent.loop import Agent
from agent.models.local.model import LocalModel
from agent.opening import Run
from agent.types import Delta, Model, Reply, Request, Style, Task
from agent.window import Window
from agent.worlds.catalogue import catalogue
from agent.worlds.sim import rule_sentences
from agent.worlds.site import Goal, goals, make_site
from memory.constitution.court import Decision
from memory.core import Memory
from memory.encoder import Encoder, HashEncoder
from memory.recall.choosing import RecallSettings
from memory.types import Draft, Episode, PrincipleBody
from notebooks.bench_learning.plan import TINY, Plan

Made = TypeVar("Made")


@contextmanager
def fresh_memory(
    plan: Plan, settings: RecallSettings | None = None, encoder: Encoder | None = None
) -> Iterator[Memory]:
    """An empty one that is thrown away; its namespaces are the lanes."""
    plan.folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=plan.folder) as folder:
        where = Path(folder) / "memory.db"
        with Memory.open(where, encoder=encoder or HashEncoder(), settings=settings) as memory:
            yield memory


@contextmanager
def tiny() -> Iterator[Model]:
    """The bundled model, echoed."""
    model = LocalModel.load(TINY, name="local:tiny")
    try:
        yield Echo(model)
    finally:
        model.close()


class Echo:
    """Asks the model inside once for each request; tokens are reported as if it had been asked every time.

    Exact where replies are greedy. Where times are measured it has no place.
    """

    def __init__(self, inner: Model) -> None:
        self._inner = inner
        self._told: dict[object, asyncio.Task[tuple[Reply, ...]]] = {}

    @property
    def name(self) -> str:
        return self._inner.name

    @property
    def style(self) -> Style:
        return self._inner.style

    def count_tokens(self, text: str) -> int:
        return self._inner.count_tokens(text)

    def overflow(self, request: Request) -> int:
        return self._inner.overflow(request) if isinstance(self._inner, Window) else 0

    async def complete(self, request: Request) -> tuple[Reply, ...]:
        assert request.temperature == 0.0, "a reply that is drawn must be drawn each time"
        said = tuple((message.role, message.text) for message in request.messages)
        key = (said, request.max_tokens, request.choices)
        if key not in self._told:
            self._told[key] = asyncio.ensure_future(self._inner.complete(request))
        return await asyncio.shield(self._told[key])

    async def stream(self, request: Request) -> AsyncIterator[Delta]:
        async for delta in self._inner.stream(request):
            yield delta


async def counted(agent: Agent, memory: Memory, task: Task, run: Run) -> tuple[Episode, tuple[Decision, ...]]:
    """One episode that is recorded, counted and reviewed; nothing is learned from it.

    What is in memory stays what was planted there, and the court's decisions are about that alone.
    """
    episode = await agent.run(task, catalogue(task.world).make(), run)
    memory.record(episode, principal=run.principal)
    memory.reinforce(episode, principal=run.principal)
    return episode, memory.review(run.namespace)


async def at_once(jobs: Sequence[Callable[[], Awaitable[Made]]], most: int = 32) -> list[Made]:
    """All of them, so many at a time, so that the model sees batches."""
    room = asyncio.Semaphore(most)

    async def one(job: Callable[[], Awaitable[Made]]) -> Made:
        async with room:
            return await job()

    return list(await asyncio.gather(*(one(job) for job in jobs)))


def rules_of(world: str, site: str) -> tuple[str, ...]:
    """The house rules in the world's own words."""
    return rule_sentences(make_site(world, site))


def tell(memory: Memory, namespace: str, site: str, sentences: Sequence[str]) -> None:
    """Principles as an operator writes them: shown to everybody, judged by nobody."""
    drafts = [
        Draft("principle", said, PrincipleBody("family", "operator"), scope="family", family=site)
        for said in sentences
    ]
    if drafts:
        memory.remember(namespace, drafts, principal="operator", channel="operator")


def tasks_at(world: str, site: str) -> Iterator[tuple[Goal, Task]]:
    """All tasks of a site with what they demand; pairs are left out, as in `work` and `gate`."""
    kind = catalogue(world)
    for goal in goals(make_site(world, site)):
        if goal.family != "pair":
            yield goal, kind.task({"site": site, **asdict(goal), "things": list(goal.things)})


def table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Markdown; all columns but the first to the right."""
    lines = [titles, ["---", *["---:"] * (len(titles) - 1)], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def met(is_met: bool) -> str:
    """The last cell of a goal."""
    return "yes" if is_met else "**no**"
