"""Cascades beyond memory: datasets, adapters, records of jobs."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from distill import copies
from memory.errors import Conflict, NotFound
from memory.writing.forgetting import Cascade
from server.advising import ADVISE
from server.auth import Identity
from server.distilling import DISTILL
from server.jobs import JobAddress, json_object
from server.ordering import again
from server.services import Core, new_id
from server.settings import Settings
from server.work import LEARN, TASK

if TYPE_CHECKING:
    from distill.manifest import AdapterManifest


@dataclass(frozen=True, slots=True)
class Reached:
    """What a cascade reaches outside memory."""

    datasets: tuple[str, ...]
    adapters: tuple[str, ...]
    blocked: tuple[AdapterManifest, ...] = ()
    """Those that could serve until now."""


def reach(core: Core, settings: Settings, namespace: str, cascade: Cascade, *, block: bool) -> Reached:
    """Datasets and adapters made of what fell; with `block` those adapters serve no more. For a thread."""
    datasets = copies.datasets(settings.distillations_dir, namespace, cascade.episodes)
    if not settings.adapters_dir.exists():
        return Reached(datasets, ())
    registry = core.registry()
    adapters = registry.touched(namespace, cascade.episodes, cascade.of("retired", "quarantined"))
    blocked = tuple(one for one in map(registry.get, adapters) if one.blocked is None) if block else ()
    for one in blocked:
        registry.block(one.id, f"{cascade.root.kind} {cascade.root.id!r} was forgotten")
    return Reached(datasets, adapters, blocked)


async def rebuild(core: Core, caller: Identity, blocked: Iterable[AdapterManifest]) -> tuple[str, ...]:
    """Queue the same recipes over the memory that is left, the newest of each and base; ids of the jobs."""
    newest = {(one.base, one.recipe): one for one in sorted(blocked, key=lambda one: one.created_at)}
    jobs: list[str] = []
    for manifest in newest.values():
        order = again(core.suites, caller.namespace, manifest, proposer=caller.principal)
        address = JobAddress(caller.namespace, DISTILL, new_id("distill"))
        jobs.append((await core.jobs.enqueue(address, json_object(order))).address.id)
    return tuple(jobs)


async def remove_copies(
    core: Core, settings: Settings, namespace: str, episodes: Iterable[str]
) -> tuple[str, ...]:
    """Delete what jobs keep in words: copies made for distilling, records of how the episodes were made.

    Returns the names of the distillations and jobs. A job that still runs keeps its records.
    """
    removed = list(await asyncio.to_thread(copies.remove, settings.distillations_dir, namespace))
    for episode in episodes:
        build = episode.rpartition("-")[0] or episode
        named = ((TASK, f"task_{episode.removeprefix('ep_')}"), (LEARN, episode), (ADVISE, build))
        for kind, id_ in named:
            try:
                await core.jobs.delete(JobAddress(namespace, kind, id_))
            except (NotFound, Conflict):
                continue
            removed.append(id_)
    return tuple(removed)
