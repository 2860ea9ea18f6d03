"""A world that says how its answers are best shown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from agent.trail import View
from agent.types import World
from memory.types import Message


@runtime_checkable
class Viewed(Protocol):
    """A world with a view of its own; it is shown by it, others as they are."""

    def view(self, messages: Sequence[Message]) -> Sequence[Message]:
        """What of the messages of a run a model is shown; pure."""
        ...


def seen_in(world: World, view: View | None) -> View | None:
    """A view of a run, and then the world's where it has one; None shows all."""
    if not isinstance(world, Viewed):
        return view
    return world.view if view is None else lambda messages: world.view(view(messages))
