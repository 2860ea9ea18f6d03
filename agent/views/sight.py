"""A world that says how its answers are best shown, and the kit that shows them so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from agent.desk import Desk
from agent.trail import View
from agent.types import World
from memory.types import Message


@runtime_checkable
class Viewed(Protocol):
    """A world with a view of its own."""

    def view(self, messages: Sequence[Message]) -> Sequence[Message]:
        """What of the messages of a run a model is shown; pure."""
        ...


def sight_of(world: World) -> View | None:
    """The view of a world, None where it has none."""
    return world.view if isinstance(world, Viewed) else None


@dataclass(frozen=True, slots=True)
class Sight:
    """A kit that shows a world as it wants to be seen; others as they are."""

    def equip(self, desk: Desk) -> None:
        """Put the world's view on the desk."""
        view = sight_of(desk.box.world)
        if view is not None:
            desk.show(view)
