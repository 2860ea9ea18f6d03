"""A world with tools of ours beside its own: what planners and other kits offer in a run.

Whatever such a tool has done stands in the messages of the run. Its function keeps no state of its own: when
a run is replayed the journal answers for it, and it is not called.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from agent.dispatch import Channels
from agent.types import Observation, Snapshots, Task, ToolSpec, World
from memory.errors import BadInput, WorldError
from memory.types import Channel, Json, ToolCall

Do = Callable[[Mapping[str, Json]], Awaitable[Observation]]
"""Runs a tool on its arguments."""


@dataclass(frozen=True, slots=True)
class Extra:
    """A tool of ours."""

    spec: ToolSpec
    do: Do


@dataclass(slots=True)
class Toolbox:
    """A world, and what is offered beside it."""

    world: World
    _extras: dict[str, Extra] = field(default_factory=dict)

    def offer(self, spec: ToolSpec, do: Do) -> None:
        """One tool more from now on; the same name again takes the place of the old one.

        Raises BadInput when the world has a tool of that name.
        """
        if any(tool.name == spec.name for tool in self.world.tools()):
            raise BadInput(f"the world has a tool {spec.name!r} of its own: rename it, or do without ours")
        self._extras[spec.name] = Extra(spec, do)

    def tools(self) -> tuple[ToolSpec, ...]:
        """The world's own, then ours."""
        return (*self.world.tools(), *(extra.spec for extra in self._extras.values()))

    def channel(self, tool: str) -> Channel:
        """Where answers come from; ours are our own, unless an answer says otherwise."""
        own = tool in self._extras or not isinstance(self.world, Channels)
        return "tool" if own else self.world.channel(tool)  # type: ignore[attr-defined]

    async def reset(self, task: Task) -> Observation:
        """Start the world."""
        return await self.world.reset(task)

    async def step(self, call: ToolCall) -> Observation:
        """Run one tool, the world's or ours."""
        extra = self._extras.get(call.name)
        return await (self.world.step(call) if extra is None else extra.do(call.arguments))


class StandingToolbox(Toolbox):
    """The same around a world that can be put back."""

    def snapshot(self) -> Json:
        """The world's."""
        return self._standing().snapshot()

    def restore(self, task: Task, snapshot: Json) -> None:
        """The world's."""
        self._standing().restore(task, snapshot)

    def _standing(self) -> Snapshots:
        if not isinstance(self.world, Snapshots):
            raise WorldError("this world cannot be put back where it was")
        return self.world


def boxed(world: World) -> Toolbox:
    """The world with an empty box."""
    return StandingToolbox(world) if isinstance(world, Snapshots) else Toolbox(world)
