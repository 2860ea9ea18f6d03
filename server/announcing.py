"""Tells webhooks what jobs come to. Said before a job's end is recorded, and again if it is replayed."""

from __future__ import annotations

import asyncio
import contextvars
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace

from memory.errors import ApprenticeError
from memory.types import Json
from server.distilling import DISTILL
from server.hooks import HookEvent, Hooks
from server.jobs import Handler, JobAddress, JobKind, JobRun, Jobs
from server.work import LEARN, TASK, episode_id

log = logging.getLogger("apprentice.jobs")
BATCH = "batch"
_ENDS: Mapping[str, HookEvent] = {
    TASK: "task.ended",
    LEARN: "episode.learned",
    DISTILL: "distillation.ended",
    BATCH: "batch.ended",
}
_SHOWN: Mapping[str, tuple[str, ...]] = {
    TASK: ("outcome", "reward", "steps", "error"),
    LEARN: ("items",),
    DISTILL: ("adapter", "promoted", "blocked"),
    BATCH: ("counts",),
}
"""Of what a job leaves; the rest is asked for by its id."""


def announced(kinds: Mapping[str, JobKind], hooks: Hooks, jobs: Jobs) -> dict[str, JobKind]:
    """The same kinds; of those that anybody wants to hear of, each end is told."""
    return {
        name: replace(kind, handler=_announced(kind.handler, hooks, jobs)) if name in _ENDS else kind
        for name, kind in kinds.items()
    }


def _announced(handler: Handler, hooks: Hooks, jobs: Jobs) -> Handler:
    async def run(on: JobRun, arguments: Mapping[str, Json]) -> dict[str, Json]:
        try:
            output = await handler(AnnouncedRun(on, hooks), arguments)
        except asyncio.CancelledError:
            # Apart from the job, whose every wait is cut short now.
            telling = asyncio.create_task(
                _tell_cancelled(hooks, jobs, on.address, arguments), context=contextvars.Context()
            )
            await asyncio.shield(telling)
            raise
        except Exception as error:
            said: dict[str, Json] = {"error": str(error)}
            await _tell(hooks, on.address, "failed", {**_known(on.address, arguments), **said})
            raise
        shown = {name: output[name] for name in _SHOWN[on.address.kind] if name in output}
        await _tell(hooks, on.address, "done", {**_known(on.address, arguments), **shown})
        if output.get("promoted") is True:
            adapter = str(output["adapter"])
            promoted: dict[str, Json] = {"id": adapter, "distillation": on.address.id}
            await _emit(hooks, on.address, "adapter.promoted", f"{adapter} {on.address.id}", promoted)
        return output

    return run


@dataclass(frozen=True, slots=True)
class AnnouncedRun:
    """A run whose questions are told."""

    on: JobRun
    hooks: Hooks

    @property
    def address(self) -> JobAddress:
        """The job being run."""
        return self.on.address

    @property
    def origin(self) -> str | None:
        """As the run's own."""
        return self.on.origin

    async def step(self, name: str, do: Callable[[], Awaitable[Json]]) -> Json:
        """As the run's own."""
        return await self.on.step(name, do)

    async def event(self, name: str, data: Json) -> None:
        """As the run's own; what a task asks is told."""
        await self.on.event(name, data)
        if name != "ask" or not isinstance(data, dict):
            return
        call = data["call"]
        assert isinstance(call, dict)
        question = data["question"]
        told = {"id": self.address.id, "question": question, "tool": call["name"], "reason": data["reason"]}
        await _emit(self.hooks, self.address, "task.asks", f"{self.address.id} {question}", told)

    async def receive(self, topic: str, *, timeout_s: float) -> Json:
        """As the run's own."""
        return await self.on.receive(topic, timeout_s=timeout_s)

    async def enqueue(self, address: JobAddress, arguments: Mapping[str, Json]) -> None:
        """As the run's own."""
        await self.on.enqueue(address, arguments)


def _known(address: JobAddress, arguments: Mapping[str, Json]) -> dict[str, Json]:
    if address.kind == TASK:
        return {"episode": episode_id(address.id)}
    if address.kind == LEARN:
        return {"episode": arguments["episode"]}
    return {}


async def _tell_cancelled(
    hooks: Hooks, jobs: Jobs, address: JobAddress, arguments: Mapping[str, Json]
) -> None:
    # What is cut off by a shutdown goes on later.
    if (await jobs.get(address)).state == "cancelled":
        await _tell(hooks, address, "cancelled", _known(address, arguments))


async def _tell(hooks: Hooks, address: JobAddress, state: str, data: dict[str, Json]) -> None:
    event = _ENDS[address.kind]
    if event == "episode.learned" and state != "done":
        return
    # A job that was resumed may end in another way.
    await _emit(hooks, address, event, f"{address.id} {state}", {"id": address.id, "state": state, **data})


async def _emit(hooks: Hooks, address: JobAddress, event: HookEvent, key: str, data: dict[str, Json]) -> None:
    telling = asyncio.create_task(
        hooks.emit(address.namespace, event, key, data), context=contextvars.Context()
    )
    try:
        await telling
    except ApprenticeError:
        # Nobody's work fails because nobody could be told of it.
        log.exception("%s of %s %s could not be told", event, address.kind, address.id)
