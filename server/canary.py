"""A lesson sent through the whole path on a schedule, so that somebody notices when nothing is learned.

A scripted model is told a fact that nobody knew and reflects on it; the same task must then find the fact in
its prompt, and be credited to it. What it runs through is what every task runs through, weights apart.
"""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from hashlib import sha256
from secrets import token_hex
from typing import Literal, get_args

from agent.journal import MemoryJournal
from agent.learning.verdicts import judged
from agent.loop import Agent
from agent.models.scripted import FunctionModel
from agent.opening import AgentSettings, Run
from agent.types import Model, Observation, Task, ToolSpec
from memory.core import Memory
from memory.errors import ApprenticeError
from memory.types import Episode, Item, Json, Message, Query, ToolCall
from server.jobs import JobAddress, JobKind, JobRun, json_object

log = logging.getLogger(__name__)

CANARY, CANARY_TICK = "canary", "canary_tick"
NAMESPACE = "canary"
"""Whose memory it uses; no key can be made for it."""
STALE_S = 3600.0
"""What a run that broke off left is cleared away when it is older: another server's may be under way."""
Stage = Literal["task", "reflect", "remember", "index", "recall", "reinforce"]
_STEPS: Mapping[str, Stage] = {
    "record": "task",
    "reflect": "reflect",
    "remember": "remember",
    "reinforce": "reinforce",
}
"""Steps of learning by the stage they belong to."""
_TOLD = re.compile(r"(\d+): (the bell of [a-z]+ rings [a-z]+)")


@dataclass(frozen=True, slots=True)
class CanaryReport:
    """How far a lesson came."""

    at: float
    """When it was sent."""
    ok: bool
    failed: Stage | None = None
    """The stage it did not come through."""
    reason: str = ""
    seconds: Mapping[str, float] | None = None
    """What each stage took, as far as it came."""


class _Lost(ApprenticeError):
    """The lesson is not where it should be by now."""

    def __init__(self, stage: Stage, reason: str) -> None:
        super().__init__(reason)
        self.stage = stage


class Tower:
    """A world whose bell tells one fact."""

    def __init__(self, fact: str) -> None:
        self._fact = fact

    def tools(self) -> tuple[ToolSpec, ...]:
        """One rope."""
        parameters: dict[str, Json] = {"type": "object", "properties": {"command": {"type": "string"}}}
        return (ToolSpec("act", "Pull the rope.", parameters),)

    async def reset(self, task: Task) -> Observation:  # noqa: ARG002 - there is one task
        """At the foot of it."""
        return Observation("you are at the rope.")

    async def step(self, call: ToolCall) -> Observation:  # noqa: ARG002 - there is one thing to do
        """Whatever is done rings the bell."""
        return Observation(f"{self._fact}.", ok=True, done=True, outcome="success", reward=1.0)


def _sing(messages: tuple[Message, ...]) -> str:
    """Pull the rope; of a log, say the fact with the line it stands in."""
    if not messages[-1].text.startswith("reflect"):
        return "> pull rope"
    found = _TOLD.search(messages[-1].text)
    return f"fact: {found[2]} ({found[1]})." if found else ""


def canary_model() -> Model:
    """It needs no weights."""
    return FunctionModel(_sing, name="canary", style="plain")


class _Watch(MemoryJournal):
    """Stages and what they take, also those that learning goes through."""

    def __init__(self) -> None:
        super().__init__()
        self.stage: Stage = "task"
        self.seconds: dict[str, float] = {}
        self._began = time.perf_counter()

    def enter(self, stage: Stage) -> None:
        """The stage before is through."""
        self.settle()
        self.stage = stage

    def settle(self) -> None:
        """Book the time since the last booking."""
        now = time.perf_counter()
        self.seconds[self.stage] = self.seconds.get(self.stage, 0.0) + now - self._began
        self._began = now

    async def step(self, name: str, do: Callable[[], Awaitable[Json]]) -> Json:
        """As the journal; a step of learning is a stage."""
        if name in _STEPS:
            self.enter(_STEPS[name])
        return await super().step(name, do)


class Canary:
    """Sends lessons."""

    def __init__(
        self,
        memory: Memory,
        settings: AgentSettings,
        *,
        is_wanted: bool = True,
        model: Model | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`is_wanted`: does the schedule send any? No coin is tossed: it would lose lessons by chance."""
        self._memory, self._clock, self._is_wanted = memory, clock, is_wanted
        settings = replace(settings, drop_rate=0.0, hold_out=0.0, trial_rate=1.0, mixture=())
        self._agent = Agent(model or canary_model(), memory, settings=settings)

    async def send(self, name: str) -> CanaryReport:
        """One lesson through all stages; whatever goes wrong is in the report, with the stage it was in."""
        at, watch = self._clock(), _Watch()
        failed: Stage | None = None
        reason = ""
        try:
            await self._fly(name, watch)
        except _Lost as lost:
            failed, reason = lost.stage, str(lost)
        except Exception as error:  # noqa: BLE001 - whatever it is, this is what the canary is for
            failed, reason = watch.stage, f"{type(error).__name__}: {error}"
        watch.settle()
        try:
            await asyncio.to_thread(self._clear, name)
        except ApprenticeError as error:
            log.warning("what the canary taught was not cleared away (%s); the next one does it", error)
        seconds = {stage: watch.seconds[stage] for stage in get_args(Stage) if stage in watch.seconds}
        return CanaryReport(at, failed is None, failed, reason, seconds)

    async def run(self, run: JobRun, _arguments: Mapping[str, Json]) -> dict[str, Json]:
        """The handler of one lesson; returns the report."""

        async def do() -> Json:
            # Taken up after a crash it begins anew, and must not meet what the first attempt left.
            return json_object(await self.send(f"{run.address.id}-{token_hex(3)}"))

        report = await run.step("send", do)
        assert isinstance(report, dict)
        return report

    async def tick(self, run: JobRun, _arguments: Mapping[str, Json]) -> dict[str, Json]:
        """Queue a lesson, where the schedule is wanted."""
        if self._is_wanted:
            await run.enqueue(JobAddress(NAMESPACE, CANARY, f"canary_{run.address.id}"), {})
        return {"sent": self._is_wanted}

    def kinds(self) -> dict[str, JobKind]:
        """What the job engine is told."""
        return {
            CANARY: JobKind(self.run, limit=1, ordered=True),
            CANARY_TICK: JobKind(self.tick, limit=1),
        }

    async def _fly(self, name: str, watch: _Watch) -> None:
        fact = f"the bell of {_word(name, 'tower')} rings {_word(name, 'tone')}"
        first = await self._attempt(name, 1, fact)
        watch.enter("reflect")
        report = await self._agent.learn(first, watch)
        told = report.reflection
        is_told = told.source == "model" and any(fact in draft.text for draft in told.drafts)
        _check(is_told, "reflect", told.error or "no lesson of the model holds it")
        learned = next((item for item in report.items if fact in item.text), None)
        if learned is None:
            raise _Lost("remember", "; ".join(report.refused) or "memory holds no item of it")
        watch.enter("index")
        await asyncio.to_thread(self._find, learned, first)
        watch.enter("recall")
        second = await self._attempt(name, 2, fact)
        prompt = " ".join(message.text for message in second.messages if message.kind == "memory")
        _check(fact in prompt, "recall", f"item {learned.id!r} is found and not shown")
        watch.enter("reinforce")
        await self._reinforced(learned, second)

    async def _attempt(self, name: str, number: int, fact: str) -> Episode:
        family = f"tower {_word(name, 'tower')}"
        task = Task(f"canary-{name}", "ring the bell", NAMESPACE, family, max_steps=2)
        run = Run(NAMESPACE, NAMESPACE, f"{name}-{number}")
        episode = judged(await self._agent.run(task, Tower(fact), run))
        _check(episode.outcome == "success", "task", episode.error or f"it ended in {episode.outcome}")
        await asyncio.to_thread(self._memory.record, episode, principal=NAMESPACE)
        return episode

    def _find(self, item: Item, episode: Episode) -> None:
        query = Query(NAMESPACE, f"{episode.family}: {episode.task}", family=episode.family)
        found = self._memory.recall(query, count_tokens=len)
        _check(
            any(hit.item.id == item.id for hit in found.candidates),
            "index",
            f"item {item.id!r} is in the database and no search finds it",
        )

    async def _reinforced(self, item: Item, episode: Episode) -> None:
        before = item.utility.n
        await self._agent.learn(episode)
        after = (await asyncio.to_thread(self._memory.get, NAMESPACE, item.id)).utility.n
        _check(after == before + 1, "reinforce", f"item {item.id!r} counts {after} uses after one more")

    def _clear(self, name: str) -> None:
        """Retire what this run taught, and what one that broke off left behind."""
        long_ago = self._clock() - STALE_S
        for item in self._memory.items(NAMESPACE, status="active") + self._memory.items(
            NAMESPACE, status="trial"
        ):
            own = any(piece.episode.startswith(f"{name}-") for piece in item.lineage.evidence)
            if own or item.created_at < long_ago:
                self._memory.forget(NAMESPACE, item.id, principal=NAMESPACE, channel="operator")


def _check(holds: bool, stage: Stage, reason: str) -> None:
    if not holds:
        raise _Lost(stage, reason)


def _word(name: str, what: str) -> str:
    """A word that nobody has said, of the run's own: twelve letters.

    >>> _word("a", "tone") == _word("a", "tone") != _word("b", "tone")
    True
    """
    digest = sha256(f"{name}/{what}".encode()).hexdigest()[:12]
    return digest.translate(str.maketrans("0123456789", "ghijklmnop"))
