"""Suites: frozen tasks that no memory has seen."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from agent.types import Task
from agent.worlds.catalogue import catalogue
from memory.errors import DistillError


@dataclass(frozen=True, slots=True)
class Suite:
    """Tasks that no memory has seen."""

    name: str
    world: str
    site: str
    split: str = "gate"
    n: int = 20
    """Tasks drawn for each seed; a task drawn twice runs once."""
    role: Literal["adapt", "retain"] = "adapt"
    """Where the adapter should help, or where it must not harm."""


def frozen_tasks(suite: Suite, seeds: Sequence[int]) -> tuple[Task, ...]:
    """The suite's tasks over all seeds, each once. Raises BadInput on an unknown world or site."""
    world = catalogue(suite.world)
    found = {
        task.id: task
        for seed in seeds
        for task in world.tasks(site=suite.site, split=suite.split, n=suite.n, seed=seed)
    }
    return tuple(found.values())


def refuse_seen(tasks: Iterable[Task], seen: frozenset[str]) -> None:
    """Raises DistillError when memory holds an episode of a gate task: the comparison would be void."""
    leaked = sorted({task.id for task in tasks} & seen)
    if leaked:
        raise DistillError(
            f"{len(leaked)} gate tasks occur among the bundle's episodes, {leaked[0]!r} first;"
            " use another split"
        )
