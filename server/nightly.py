"""Distilling by itself: on a schedule, where a namespace has lived enough since the last time."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from dataclasses import dataclass

from memory.core import Memory
from memory.types import Episode, Json
from server.distilling import DISTILL, DistillOrder
from server.jobs import Job, JobAddress, JobKind, JobRun, json_object
from server.ordering import suites_for
from server.services import Core
from server.work import LEARNABLE

DISTILL_TICK = "distill_tick"
PROPOSER = "schedule"
PAGE = 100
VERIFIED = ("world", "rule", "human", "verifier")
"""Whose word on an episode counts; a judge's alone does not."""


@dataclass(frozen=True, slots=True)
class NightSettings:
    """When memory is turned into weights by itself."""

    is_wanted: bool = False
    least: int = 50
    """New verified episodes that it takes."""
    recipe: str = "step"


class Nightly:
    """The handler of the schedule."""

    def __init__(self, core: Core, settings: NightSettings) -> None:
        self._core = core
        self._settings = settings

    async def tick(self, run: JobRun, _arguments: Mapping[str, Json]) -> dict[str, Json]:
        """Queue a distillation of every namespace that is due; once, also when the server dies in between."""

        async def find() -> Json:
            return await self._due() if self._settings.is_wanted else []

        due = await run.step("find", find)
        assert isinstance(due, list)
        name = f"distill_{re.sub('[^0-9]', '', run.address.id)[:14]}"
        for namespace in map(str, due):
            address = JobAddress(namespace, DISTILL, name)
            await run.enqueue(address, json_object(self._order(namespace)))
        return {"namespaces": due}

    def kinds(self) -> dict[str, JobKind]:
        """What the job engine is told."""
        return {DISTILL_TICK: JobKind(self.tick, limit=1)}

    def _order(self, namespace: str) -> DistillOrder:
        return DistillOrder(
            recipe=self._settings.recipe,
            base=self._core.models.default.removeprefix("local:").partition("+")[0],
            suites=suites_for(self._core.suites, namespace),
            seed=0,
            seeds=(0,),
            train={},
            promote=True,
            proposer=PROPOSER,
        )

    async def _due(self) -> list[Json]:
        """Namespaces with declared suites, none at work, and enough new to learn from."""
        if not self._core.models.default.startswith("local:"):
            return []
        due: list[Json] = []
        for namespace in sorted(self._core.suites.all()):
            jobs = await self._core.jobs.list(namespace, DISTILL, limit=PAGE)
            if any(not job.is_ended for job in jobs):
                continue
            since = max((job.created_at for job in jobs if _counts(job)), default=0.0)
            n_new = await asyncio.to_thread(
                verified_since, self._core.memory, namespace, since, self._settings.least
            )
            if n_new >= self._settings.least:
                due.append(namespace)
        return due


def verified_since(memory: Memory, namespace: str, since: float, enough: int) -> int:
    """Episodes that ended later and went in a known way; counted up to `enough`. For a thread."""
    found, after = 0, None
    while found < enough:
        page = memory.episodes(namespace, limit=PAGE, after=after, newest=True)
        found += sum(_is_verified(episode) and episode.ended_at > since for episode in page)
        if len(page) < PAGE or page[-1].ended_at <= since:
            break
        after = page[-1].id
    return min(found, enough)


def _is_verified(episode: Episode) -> bool:
    known = episode.outcome in LEARNABLE and episode.outcome_by in VERIFIED
    return known and episode.forgotten is None and episode.origin == "real"


def _counts(job: Job) -> bool:
    """A dry run or one that broke off has used up nothing."""
    return job.state == "done" and not job.input.get("dry_run")
