"""Health and metrics."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from typing import Literal

from fastapi import APIRouter, Response
from pydantic import BaseModel, JsonValue

from memory.codec import to_json
from server.deps import CoreDep, Reader, ServicesDep
from server.errors import NotReady
from server.learning import learning_of
from server.metrics import Metrics
from server.services import Core
from server.standing import Holding

router = APIRouter(tags=["health"])


class Health(BaseModel):
    """How the server is."""

    status: Literal["ok"] = "ok"


class Readiness(BaseModel):
    """Facts of a server that is ready."""

    status: Literal["ready"] = "ready"
    memory: dict[str, JsonValue]
    default_model: str


@router.get("/health/live", summary="Is the process alive? No I/O, no key.")
async def live() -> Health:
    """Answers as long as the event loop turns."""
    return Health()


@router.get("/health/ready", summary="Can requests be served? 503 while warming up.")
async def ready(services: ServicesDep) -> Readiness:
    """Reads the state of memory; needs no key."""
    if services.is_opening:
        raise NotReady("the server is still warming up")
    core = await services.core()
    stats = to_json(await asyncio.to_thread(core.memory.stats))
    assert isinstance(stats, dict)
    return Readiness(memory=stats, default_model=core.models.default)


@router.get("/metrics", summary="Prometheus metrics", response_class=Response)
async def metrics(services: ServicesDep, core: CoreDep, caller: Reader) -> Response:
    """Totals over all namespaces, which any key may read, and what the key's own namespace holds."""
    await _refresh(services.metrics, core)
    holding = await asyncio.to_thread(_holding, core, caller.namespace)
    learning = await learning_of(core, services.settings, caller.namespace, counts=False)
    # From here on nothing waits: no other scrape can come between.
    services.metrics.show_holding(caller.namespace, holding)
    services.metrics.show_learning(learning)
    return Response(services.metrics.render(), media_type="text/plain; version=0.0.4; charset=utf-8")


async def _refresh(metrics: Metrics, core: Core) -> None:
    stats = await asyncio.to_thread(core.memory.stats)
    metrics.memory_rows.labels("items").set(stats.items)
    metrics.memory_rows.labels("episodes").set(stats.episodes)
    metrics.memory_lag.set(stats.log_seq - stats.applied_seq)
    metrics.show_jobs(await core.jobs.standing(), time.time())


def _holding(core: Core, namespace: str) -> Holding:
    adapters = [card.name for card in core.models.list(namespace) if "+" in card.name]
    return Holding(
        core.memory.usage(namespace),
        core.memory.sizes(namespace),
        Counter(name.partition("+")[0] for name in adapters),
    )
