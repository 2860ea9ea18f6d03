"""A task that sets tasks: the tool `submit_task`, where an operator lets tasks start any.

How deep a task stands is in its record, written by whoever starts it and never by a model: one more than the
task's that asked. What held that task holds its child too, its words are no more trusted than all that was in
context, and asked again after a crash it is the same child.
"""

from __future__ import annotations

import asyncio
import contextvars
import hashlib
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace

from agent.desk import Desk
from agent.holding import POLICIES
from agent.types import Observation, ToolSpec
from memory.errors import ApprenticeError
from memory.types import TRUST, Json
from server.jobs import JobAddress, json_object
from server.orders import TaskOrder
from server.services import Core
from server.worlds import TOOLS

SUBMIT = ToolSpec(
    "submit_task",
    "Set another task, which runs by itself beside this one. Its answer does not come back here.",
    {
        "type": "object",
        "properties": {"text": {"type": "string", "minLength": 1, "maxLength": 100_000}},
        "required": ["text"],
        "additionalProperties": False,
    },
)


@dataclass(frozen=True, slots=True)
class Spawner:
    """A kit: offers the tool in one task; the guard `quota` says how often, and how deep."""

    core: Core
    address: JobAddress
    order: TaskOrder

    def equip(self, desk: Desk) -> None:
        """Offer it, where the operator's tools have none of that name."""
        if desk.model.style == "full" and all(tool.name != SUBMIT.name for tool in desk.tools()):
            desk.offer(SUBMIT, self._doing(desk))

    def _doing(self, desk: Desk) -> Callable[[Mapping[str, Json]], Awaitable[Observation]]:
        async def submit(arguments: Mapping[str, Json]) -> Observation:
            try:
                child = await self._child(desk, str(arguments["text"]))
            except ApprenticeError as error:
                return Observation(f"refused: {error}", ok=False)
            return Observation(f"task {child} is set.", ok=True)

        return submit

    async def _child(self, desk: Desk, text: str) -> str:
        """The id of the task that is started. Raises what starting one raises."""
        order, core, namespace = self.order, self.core, self.address.namespace
        config: dict[str, Json] = {**order.config, "text": text, "family": order.family}
        task = core.worlds.task(TOOLS, config)
        await asyncio.to_thread(core.suites.check, namespace, task.id, order.mode)
        asked = json.dumps([self.address.id, len(desk.messages), text])
        address = JobAddress(
            namespace, self.address.kind, f"task_{hashlib.sha256(asked.encode()).hexdigest()[:23]}"
        )
        is_strange = desk.trail.context().trust == TRUST["external"]
        written = desk.trail.notes.get(POLICIES)
        above = (order.policy, *(written if isinstance(written, list) else []))
        child = replace(
            order,
            text=task.text,
            config=dict(task.config),
            channel="external" if is_strange else order.channel,
            policy=None,
            held=(*order.held, *(dict(one) for one in above if isinstance(one, dict))),
            depth=order.depth + 1,
        )
        # The engine must not take this for a part of the step that is running.
        starting = core.jobs.start(address, json_object(child))
        await asyncio.create_task(starting, context=contextvars.Context())
        return address.id
