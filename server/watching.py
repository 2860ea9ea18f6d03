"""What is seen of jobs while they run: how they end, and what each of their stages takes."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace

from memory.types import Json
from server.genai import of_step
from server.jobs import Handler, JobAddress, JobKind, JobRun
from server.logs import about, told
from server.metrics import Metrics
from server.tracing import Span, Tracer
from server.work import LEARN, TASK, episode_id

log = logging.getLogger("apprentice.jobs")
_STAGES = {"opening": "recall", "ask": "model", "step": "tool"}
"""What steps of a journal are called, where their own name says less."""


def watched(kinds: Mapping[str, JobKind], metrics: Metrics, tracer: Tracer) -> dict[str, JobKind]:
    """The same kinds, their runs counted, timed and traced."""
    return {
        name: replace(kind, handler=_watched(name, kind.handler, metrics, tracer))
        for name, kind in kinds.items()
    }


def _watched(kind: str, handler: Handler, metrics: Metrics, tracer: Tracer) -> Handler:
    async def run(on: JobRun, arguments: Mapping[str, Json]) -> dict[str, Json]:
        started, ended = time.perf_counter(), "failed"
        ids, model = ids_of(on.address), str(arguments.get("model") or "")
        with about(**ids), tracer.span(kind, "consumer", parent=on.origin) as span:
            _begun(span, kind, ids)
            try:
                output = await handler(WatchedRun(on, metrics, tracer, model), arguments)
                ended = "done"
            except asyncio.CancelledError:
                ended = "cancelled"
                raise
            else:
                return output
            finally:
                seconds = time.perf_counter() - started
                metrics.jobs.labels(kind, ended).inc()
                metrics.job_seconds.labels(kind).observe(seconds)
                level = logging.WARNING if ended == "failed" else logging.INFO
                log.log(level, "job", extra=told({"ended": ended, "ms": round(seconds * 1000, 1)}))

    return run


def _begun(span: Span, kind: str, ids: Mapping[str, Json]) -> None:
    span.note({f"apprentice.{name}": str(value) for name, value in ids.items()})
    if kind == TASK:
        span.rename("invoke_agent apprentice")
        span.note({"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "apprentice"})
    if episode := ids.get("episode"):
        span.note({"gen_ai.conversation.id": str(episode)})


@dataclass(frozen=True, slots=True)
class WatchedRun:
    """A run whose steps are seen when they are done, not when they are replayed."""

    on: JobRun
    metrics: Metrics
    tracer: Tracer
    model: str
    """Who works on it."""

    @property
    def origin(self) -> str | None:
        """Where it was set."""
        return self.on.origin

    @property
    def address(self) -> JobAddress:
        """The job being run."""
        return self.on.address

    async def step(self, name: str, do: Callable[[], Awaitable[Json]]) -> Json:
        """As the run's own."""

        async def timed() -> Json:
            started, stage = time.perf_counter(), stage_of(name)
            try:
                with self.tracer.span(stage, "client" if stage == "model" else "internal") as span:
                    done = await do()
                    if self.tracer.is_on:
                        told = of_step(stage, done, self.model, shows_content=self.tracer.shows_content)
                        span.rename(told[0])
                        span.note(told[1])
            finally:
                seconds = time.perf_counter() - started
                self.metrics.job_stage_seconds.labels(self.address.kind, stage).observe(seconds)
            if name == "review":
                self.metrics.decided(done)
            return done

        return await self.on.step(name, timed)

    async def event(self, name: str, data: Json) -> None:
        """As the run's own."""
        await self.on.event(name, data)

    async def receive(self, topic: str, *, timeout_s: float) -> Json:
        """As the run's own."""
        return await self.on.receive(topic, timeout_s=timeout_s)

    async def enqueue(self, address: JobAddress, arguments: Mapping[str, Json]) -> None:
        """As the run's own."""
        await self.on.enqueue(address, arguments)


def ids_of(address: JobAddress) -> dict[str, Json]:
    """What is logged while a job runs says of it."""
    ids: dict[str, Json] = {"namespace": address.namespace, "job": address.kind, "id": address.id}
    if address.kind == TASK:
        ids |= {"task": address.id, "episode": episode_id(address.id)}
    elif address.kind == LEARN:
        ids |= {"episode": address.id}
    return ids


def stage_of(step: str) -> str:
    """What a step of a journal does, without its number.

    >>> stage_of("opening"), stage_of("recall 2"), stage_of("model 7"), stage_of("step 3"), stage_of("save")
    ('recall', 'recall', 'model', 'tool', 'save')
    """
    word = step.partition(" ")[0]
    return _STAGES.get(word, word)
