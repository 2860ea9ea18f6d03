"""A site that does not say how it went, so that somebody else has to find out."""

from __future__ import annotations

import re
from typing import Any, cast

from agent.tools import FINISH
from agent.types import Observation, Task, ToolSpec
from agent.worlds.catalogue import ACT, SiteWorld
from agent.worlds.sim import NOTHING
from memory.errors import WorldError
from memory.types import Json, Outcome, ToolCall

LOOK = ToolSpec(
    "look",
    "Look round where you are. Changes nothing.",
    {"type": "object", "properties": {}, "additionalProperties": False},
    read_only=True,
)
_TOLD = re.compile(r"\s*(?:no time is left\. )?the task is (?:done|lost|over)\.")


class Blind:
    """Hides the outcome of a site: ends with `finish` or when the steps are used up, as `unknown`."""

    def __init__(self, world: SiteWorld) -> None:
        self._world = world
        self._task: Task | None = None
        self._steps = 0
        self._truth: Outcome | None = None

    @property
    def truth(self) -> Outcome:
        """How it really went, for measuring alone."""
        return self._truth or "failure"

    def tools(self) -> tuple[ToolSpec, ...]:
        """The site's own, `look` and `finish`."""
        return (*self._world.tools(), LOOK, FINISH)

    async def reset(self, task: Task) -> Observation:
        """Start the task."""
        self._task, self._steps, self._truth = task, 0, None
        return await self._world.reset(task)

    async def step(self, call: ToolCall) -> Observation:
        """Do one thing; `look` costs no step of the site. Raises WorldError before `reset`."""
        task = self._running()
        if call.name == LOOK.name:
            return await self._look(task)
        if call.name == FINISH.name:
            return Observation("", done=True, outcome="unknown")
        self._steps += 1
        done = self._steps >= task.max_steps
        if self._truth is not None:
            return Observation(NOTHING, ok=False, done=done, outcome="unknown" if done else None)
        seen = await self._world.step(call)
        self._truth = seen.outcome if seen.done else None
        ended: Outcome | None = "unknown" if done else None
        return Observation(_hidden(seen.text), seen.ok, done, ended, rule=seen.rule)

    def snapshot(self) -> Json:
        """The site, and what is hidden of it."""
        return {"site": self._world.snapshot(), "steps": self._steps, "truth": self._truth}

    def restore(self, task: Task, snapshot: Json) -> None:
        """Back to a snapshot. Raises WorldError when it is none of this world's."""
        if not isinstance(snapshot, dict) or set(snapshot) != {"site", "steps", "truth"}:
            raise WorldError("a snapshot of a blind site has `site`, `steps` and `truth`")
        self._world.restore(task, snapshot["site"])
        self._task, self._steps = task, int(str(snapshot["steps"]))
        self._truth = cast("Outcome | None", snapshot["truth"])

    async def _look(self, task: Task) -> Observation:
        before = self._world.snapshot()
        state: dict[str, Any] = {**cast("dict[str, Any]", before), "over": False, "steps": 0}
        self._world.restore(task, state)
        try:
            seen = await self._world.step(ToolCall("look", ACT.name, {"command": "look"}))
        finally:
            self._world.restore(task, before)
        return Observation(_hidden(seen.text), ok=True)

    def _running(self) -> Task:
        if self._task is None:
            raise WorldError("no task is running; call reset first")
        return self._task


def _hidden(text: str) -> str:
    return _TOLD.sub("", text).strip()
