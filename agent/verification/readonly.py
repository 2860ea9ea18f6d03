"""A world that may be looked at and not touched."""

from __future__ import annotations

from agent.types import ANSWER_TOOL, Observation, Snapshots, Task, ToolSpec, World
from memory.types import Json, ToolCall


class ReadOnly:
    """Offers the tools that change nothing, and refuses the rest.

    A tool that calls itself read-only and changes the state of a world with snapshots is undone and
    refused; what lies outside of a snapshot cannot be watched. `finish` is no way of looking.
    """

    def __init__(self, world: World, task: Task) -> None:
        self._world, self._task = world, task

    def tools(self) -> tuple[ToolSpec, ...]:
        """Those marked `read_only`, but for the answer."""
        return tuple(tool for tool in self._world.tools() if tool.read_only and tool.name != ANSWER_TOOL)

    async def reset(self, task: Task) -> Observation:
        """Refused: what was left behind is what is looked at."""
        return Observation(f"refused: {task.id!r} is looked at, not started.", ok=False)

    async def step(self, call: ToolCall) -> Observation:
        """Run a read-only tool. A refusal is an observation with ok False."""
        if call.name not in {tool.name for tool in self.tools()}:
            return Observation(f"refused: {call.name!r} may change something.", ok=False)
        before = self._photograph()
        try:
            observation = await self._world.step(call)
        finally:
            changed = self._photograph() != before
            if changed and isinstance(self._world, Snapshots):
                self._world.restore(self._task, before)
        if changed:
            return Observation(f"refused: {call.name!r} changed something, which was undone.", ok=False)
        return observation

    def _photograph(self) -> Json:
        return self._world.snapshot() if isinstance(self._world, Snapshots) else None
