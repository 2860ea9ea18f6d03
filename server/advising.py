"""Building a constitution as a job: an agent works a calibration set, a builder reads it, it is frozen."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass

from agent.builders.advisor import Advice, Calibration, advise
from agent.builders.building import BuildSettings
from agent.builders.ops import BuilderName
from agent.builders.settings import MineSettings, PatternName
from agent.types import Task
from memory.codec import from_json
from memory.types import Json
from server.agents import at_work
from server.jobs import JobKind, JobRun, json_object
from server.services import Core
from server.worlds import Worlds

ADVISE = "advise"
SPLIT = "work"
"""Of a site's tasks; those of other splits measure."""


@dataclass(frozen=True, slots=True)
class AdviseOrder:
    """A build as it is stored with its job."""

    principal: str
    world: str
    sites: tuple[str, ...]
    tasks: int
    """Of each site."""
    builder: BuilderName
    model: str
    """Works the tasks."""
    builder_model: str
    """Reads, where the builder needs a model."""
    patterns: tuple[PatternName, ...]
    shared_only: bool
    seed: int


def calibration_set(order: AdviseOrder, worlds: Worlds) -> tuple[Task, ...]:
    """The tasks, site by site. Raises NotFound, BadInput for worlds and sites that are not there."""
    listed = worlds.catalogue(order.world)
    return tuple(
        task
        for site in order.sites
        for task in listed.tasks(site=site, split=SPLIT, n=order.tasks, seed=order.seed)
    )


class Advising:
    """The handler of builds."""

    def __init__(self, core: Core) -> None:
        self._core = core

    async def run(self, run: JobRun, arguments: Mapping[str, Json]) -> dict[str, Json]:
        """Build for the job's namespace; returns the report. After a crash it goes on where it was."""
        order = from_json(AdviseOrder, dict(arguments))
        core, namespace = self._core, run.address.namespace
        asked = Calibration(
            run.address.id,
            namespace,
            order.principal,
            calibration_set(order, core.worlds),
            order.builder,
            BuildSettings(MineSettings(order.patterns)),
            order.shared_only,
            order.seed,
        )
        async with AsyncExitStack() as held:
            agent = await held.enter_async_context(at_work(core, namespace, order.model))
            model = None
            if order.builder != "symbolic":
                model = await held.enter_async_context(core.models.use(order.builder_model))
            advice = await advise(asked, agent, core.memory, core.worlds.make, model=model, journal=run)
        return json_object(advice)

    def kinds(self) -> dict[str, JobKind]:
        """What the job engine is told: one at a time in a namespace."""
        return {ADVISE: JobKind(self.run, limit=2, ordered=True)}


def report_of(output: Mapping[str, Json] | None) -> Advice | None:
    """What a job that has ended left."""
    return None if output is None else from_json(Advice, dict(output))
