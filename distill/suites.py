"""Suites: frozen tasks that no memory has seen."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from agent.types import Task
from agent.worlds.catalogue import catalogue
from memory.errors import DistillError

Role = Literal["adapt", "retain", "transfer", "safe"]
"""Where the adapter should help; must not harm; is looked at only; must break no more rules."""


@dataclass(frozen=True, slots=True)
class Suite:
    """Tasks that no memory has seen."""

    name: str
    world: str
    site: str
    split: str = "gate"
    n: int = 20
    """Tasks drawn for each seed; a task drawn twice runs once."""
    role: Role = "adapt"


def frozen_tasks(suite: Suite, seeds: Sequence[int]) -> tuple[Task, ...]:
    """The suite's tasks over all seeds, each once. Raises BadInput on an unknown world or site."""
    world = catalogue(suite.world)
    found = {
        task.id: task
        for seed in seeds
        for task in world.tasks(site=suite.site, split=suite.split, n=suite.n, seed=seed)
    }
    return tuple(found.values())


@dataclass(frozen=True, slots=True)
class Frozen:
    """A suite and its tasks, drawn before anything is trained."""

    suite: Suite
    seeds: tuple[int, ...]
    tasks: tuple[Task, ...]

    @property
    def digest(self) -> str:
        """Tells sets of tasks apart."""
        return digest(self.tasks)


def freeze(suites: Iterable[tuple[Suite, tuple[int, ...]]]) -> tuple[Frozen, ...]:
    """Suites with their tasks; of those with the same tasks the first. Names are made to differ.

    Raises BadInput on an unknown world or site.
    """
    found: dict[str, Frozen] = {}
    names: set[str] = set()
    for suite, seeds in suites:
        one = Frozen(suite, seeds, frozen_tasks(suite, seeds))
        key = one.digest
        if key in found:
            continue
        name = suite.name if suite.name not in names else f"{suite.name} {key[:6]}"
        found[key] = replace(one, suite=replace(suite, name=name))
        names.add(name)
    return tuple(found.values())


def digest(tasks: Iterable[Task]) -> str:
    """Tells sets of tasks apart, in whatever order."""
    return hashlib.sha256("\n".join(sorted(task.id for task in tasks)).encode()).hexdigest()[:16]


def refuse_seen(tasks: Iterable[Task], seen: frozenset[str]) -> None:
    """Raises DistillError when memory holds an episode of a gate task: the comparison would be void."""
    leaked = sorted({task.id for task in tasks} & seen)
    if leaked:
        raise DistillError(
            f"{len(leaked)} gate tasks occur among the bundle's episodes, {leaked[0]!r} first;"
            " use another split"
        )
