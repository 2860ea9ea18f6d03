"""Procedures on demand: the prompt holds a line of each that was recalled, a tool gives the rest.

Source: MUSE (arXiv 2510.08002), procedural memory: an index in the prompt, bodies by a tool. Deviations: the
index holds what was recalled, not all there is; what a coin held out cannot be read either.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from agent.dispatch import Channels
from agent.prompt import FETCH
from agent.types import Observation, Snapshots, Task, ToolSpec, World
from memory.errors import BadInput, WorldError
from memory.types import Channel, Json, ToolCall

RECALL_PROCEDURE = ToolSpec(
    FETCH,
    "Read a procedure of memory, by the id of its item. Changes nothing.",
    {
        "type": "object",
        "properties": {"id": {"type": "string"}},
        "required": ["id"],
        "additionalProperties": False,
    },
    read_only=True,
)
Fetch = Callable[[str], Awaitable[str | None]]
"""What an item says; None when it may not be shown any more."""


@dataclass(slots=True)
class Shelf:
    """A world with one tool more, once there is something to read."""

    world: World
    fetch: Fetch
    offered: frozenset[str] = frozenset()

    def offer(self, procedures: Sequence[str]) -> None:
        """Let these be read from now on."""
        self.offered |= frozenset(procedures)

    def tools(self) -> tuple[ToolSpec, ...]:
        """The world's own, then ours. Raises BadInput when the world has one of that name."""
        own = self.world.tools()
        if any(tool.name == FETCH for tool in own):
            raise BadInput(f"the world has a tool {FETCH!r} of its own: rename it, or show procedures inline")
        return (*own, RECALL_PROCEDURE) if self.offered else own

    def channel(self, tool: str) -> Channel:
        """Where answers come from; what is read here counted for its trust when its title was shown."""
        return self.world.channel(tool) if isinstance(self.world, Channels) and tool != FETCH else "tool"

    async def reset(self, task: Task) -> Observation:
        """Start the world."""
        return await self.world.reset(task)

    async def step(self, call: ToolCall) -> Observation:
        """Run one tool, or read."""
        if call.name != FETCH:
            return await self.world.step(call)
        name = str(call.arguments.get("id", ""))
        text = await self.fetch(name) if name in self.offered else None
        if text is None:
            return Observation(f"there is no procedure {name!r} to read here.", ok=False)
        return Observation(text, ok=True)


class StandingShelf(Shelf):
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


def shelved(world: World, fetch: Fetch) -> Shelf:
    """The world with its shelf."""
    return StandingShelf(world, fetch) if isinstance(world, Snapshots) else Shelf(world, fetch)
