"""Cascades beyond memory: datasets, adapters, records of jobs."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass

from distill import copies
from memory.errors import Conflict, NotFound
from memory.writing.forgetting import Cascade
from server.advising import ADVISE
from server.jobs import JobAddress
from server.services import Core
from server.settings import Settings
from server.work import LEARN, TASK


@dataclass(frozen=True, slots=True)
class Reached:
    """What a cascade reaches outside memory."""

    datasets: tuple[str, ...]
    adapters: tuple[str, ...]


def reach(core: Core, settings: Settings, namespace: str, cascade: Cascade, *, block: bool) -> Reached:
    """Datasets and adapters made of what fell; with `block` those adapters serve no more. For a thread."""
    datasets = copies.datasets(settings.distillations_dir, namespace, cascade.episodes)
    if not settings.adapters_dir.exists():
        return Reached(datasets, ())
    registry = core.registry()
    adapters = registry.touched(namespace, cascade.episodes, cascade.of("retired", "quarantined"))
    for adapter in adapters if block else ():
        registry.block(adapter, f"{cascade.root.kind} {cascade.root.id!r} was forgotten")
    return Reached(datasets, adapters)


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
