"""The advisor: it watches an agent on a calibration set, builds a constitution of it and freezes that.

Another agent is then served the frozen version; what that one learns changes nothing of it.
Source: the co-operative mode of OmniReflect (arXiv 2506.17449), of which no more is published than that a
small calibration set is used; five to ten tasks a family are our reading.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from agent.builders.building import BUILDERS, Applied, BuildSettings, apply
from agent.builders.ops import BuilderName, Built, Window
from agent.journal import MemoryJournal
from agent.learning.verdicts import judged
from agent.loop import Agent
from agent.opening import Run
from agent.types import Budget, Journal, Model, Task, World
from memory.codec import from_json, to_json
from memory.constitution.versions import ConstitutionVersion, named
from memory.core import Memory
from memory.errors import BadInput, NotFound
from memory.types import Episode, Item, Json, Usage

UNBOUNDED = 2**31


@dataclass(frozen=True, slots=True)
class Calibration:
    """What an advisor is asked for."""

    key: str
    """Names the build and its episodes; the same key goes on where a crash cut it off."""
    namespace: str
    principal: str
    tasks: tuple[Task, ...]
    builder: BuilderName = "symbolic"
    settings: BuildSettings = field(default_factory=BuildSettings)
    shared_only: bool = False
    """Freeze what several families show, and nothing of one alone: for agents who work elsewhere."""
    seed: int = 0
    budget: Budget = field(default_factory=Budget)

    def __post_init__(self) -> None:
        if not self.tasks:
            raise BadInput("a calibration set needs at least one task")


@dataclass(frozen=True, slots=True)
class Advice:
    """What came of it."""

    version: ConstitutionVersion | None
    """The frozen one; None when nothing was found that could be frozen."""
    episodes: tuple[str, ...]
    """The calibration set as it was lived."""
    successes: int
    proposed: int
    """Operations of the builder."""
    rejected: tuple[str, ...]
    """Of the model's, for want of evidence."""
    refused: tuple[str, ...]
    """By memory."""
    calibrating: Usage
    """Spent by the agent on the tasks."""
    building: Usage
    """Spent by the builder's model."""
    error: str | None = None
    """Why the builder's model had no say."""


async def advise(
    asked: Calibration,
    agent: Agent,
    memory: Memory,
    make: Callable[[Task], World],
    *,
    model: Model | None = None,
    journal: Journal | None = None,
) -> Advice:
    """Run the tasks, one after the other, build, apply, freeze: the last step, and the only one to be served.

    `agent` runs without what memory knows, so that what is built stands on what it did by itself. `model` is
    the builder's. Again with the same journal goes on behind what was done. Raises what running, remembering
    and journals raise; nothing is frozen then.
    """
    builder = BUILDERS[asked.builder](model, asked.settings)
    journal = journal or MemoryJournal()
    episodes = await _lived(asked, agent, memory, make, journal)

    async def build() -> Json:
        held = await asyncio.to_thread(_principles, memory, asked.namespace)
        return to_json(await builder(Window(episodes, held)))

    async def carry_out() -> Json:
        return to_json(await asyncio.to_thread(_applied, asked, memory, built, episodes))

    async def freeze() -> Json:
        version = await asyncio.to_thread(_frozen, asked, memory, applied)
        return None if version is None else to_json(version)

    built = from_json(Built, await journal.step("build", build))
    applied = from_json(Applied, await journal.step("apply", carry_out))
    kept = await journal.step("freeze", freeze)
    version = None if kept is None else from_json(ConstitutionVersion, kept)
    return _advice(version, episodes, built, applied)


def _advice(
    version: ConstitutionVersion | None, episodes: Sequence[Episode], built: Built, applied: Applied
) -> Advice:
    calibrating = Usage()
    for episode in episodes:
        calibrating += episode.usage
    return Advice(
        version,
        tuple(one.id for one in episodes),
        successes=sum(one.outcome == "success" for one in episodes),
        proposed=len(built.operations),
        rejected=built.rejected,
        refused=applied.refused,
        calibrating=calibrating,
        building=built.usage,
        error=built.error,
    )


async def _lived(
    asked: Calibration, agent: Agent, memory: Memory, make: Callable[[Task], World], journal: Journal
) -> tuple[Episode, ...]:
    episodes: list[Episode] = []
    for number, task in enumerate(asked.tasks):
        name = f"{asked.key}-{number}"
        run = Run(asked.namespace, asked.principal, name, asked.seed, "off", asked.budget)

        async def live(task: Task = task, run: Run = run) -> Json:
            if not await asyncio.to_thread(_is_there, memory, run):
                lived = judged(await agent.run(task, make(task), run))
                await asyncio.to_thread(memory.record, lived, principal=asked.principal)
            return run.episode_id

        name = str(await journal.step(f"calibrate {number}", live))
        episodes.append(await asyncio.to_thread(memory.episode, asked.namespace, name))
        await journal.event("calibrated", {"task": number, "outcome": episodes[-1].outcome})
    return tuple(episodes)


def _is_there(memory: Memory, run: Run) -> bool:
    """Was it recorded before a crash cut off the journal?"""
    try:
        memory.episode(run.namespace, run.episode_id)
    except NotFound:
        return False
    return True


def _principles(memory: Memory, namespace: str) -> tuple[Item, ...]:
    """All that are in force."""
    return memory.constitution(
        namespace, None, token_budget=UNBOUNDED, count_tokens=len, every_family=True
    ).principles


def _applied(asked: Calibration, memory: Memory, built: Built, episodes: tuple[Episode, ...]) -> Applied:
    named = {"principal": asked.principal, "key": f"advise/{asked.key}"}
    return apply(built.operations, Window(episodes), memory, asked.namespace, **named)


def _frozen(asked: Calibration, memory: Memory, applied: Applied) -> ConstitutionVersion | None:
    """What was built and is in force, frozen once."""
    built = [item for item in _principles(memory, asked.namespace) if item.id in applied.items]
    shown = [item for item in built if not asked.shared_only or item.scope == "namespace"]
    # What each of several sites found for itself is served once.
    wanted = list({item.text: item for item in reversed(shown)}.values())
    if not wanted:
        return None
    for version in memory.constitution_versions(asked.namespace):
        if version.frozen and sorted(version.principles) == sorted(named(wanted)):
            return version
    only = [item.id for item in wanted]
    return memory.freeze(asked.namespace, principal=asked.principal, only=only)
