"""The FastAPI application: routes by resource, one error shape, nothing heavy at import or start."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import Depends, FastAPI
from starlette.middleware.cors import CORSMiddleware

from server import errors
from server.deps import audit, authorize
from server.document import Described
from server.errors import ErrorBody
from server.gate import Gate
from server.mcp import McpEndpoint
from server.middleware import BodyLimit, CountedRoute, Shield, Unforeseen
from server.observing import Observe
from server.routes import (
    access,
    adapters,
    batches,
    builds,
    chat,
    consolidations,
    constitution,
    distillations,
    episodes,
    flows,
    forgetting,
    jobs,
    learning,
    memory,
    moving,
    proposals,
    quotas,
    responses,
    revision,
    rollouts,
    schedules,
    seeing,
    suites,
    system,
    tasks,
    web,
    webhooks,
    worlds,
)
from server.services import Services

DESCRIPTION = """
An agent server that learns on the job.

**Chat** through `/v1/chat/completions` with any OpenAI client: memory is recalled and every conversation
becomes an episode. **Task** the agent through `/v1/tasks`: it acts in a world, step by step, durably; every
finished episode is reflected on and becomes memory. **Look** at what it learned in `/v1/memory`,
`/v1/constitution` and `/v1/episodes`. **Distil** it into weights through `/v1/distillations`; a gate decides
whether they are better. **Move** it through `/v1/bundle`, and in what others recorded through `/v1/imports`.
**Other agents** find all this at `/mcp` as an MCP server: `recall`, `remember`, `constitution`, `task`.

Every request but health needs `Authorization: Bearer <key>`. The key decides the namespace: nothing of
another namespace can be seen, its ids are answered with 404. Errors have OpenAI's shape everywhere.
"""

EXPOSED = (
    "X-Request-Id",
    "X-Apprentice-Episode",
    "Retry-After",
    "Server-Timing",
    "x-ratelimit-limit-requests",
    "x-ratelimit-remaining-requests",
    "x-ratelimit-reset-requests",
)
"""What scripts of other origins may read of an answer's headers."""


def create_app(services: Services) -> FastAPI:
    """The application over services; they are opened and closed with it."""
    mcp = McpEndpoint(services)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        services.start()
        async with mcp.running():
            yield
        await services.close()

    app = Described(
        title="Apprentice",
        version="0.1.0",
        description=DESCRIPTION,
        lifespan=lifespan,
        responses={"4XX": {"model": ErrorBody}, "5XX": {"model": ErrorBody}},
        dependencies=[Depends(authorize), Depends(audit, scope="function")],
    )
    app.state.services = services
    errors.install(app)
    _harden(app, services)
    # Consolidations first: to memory's routes their name would be an item's id.
    first = (chat, responses, rollouts, tasks, worlds, episodes, consolidations, memory, revision, forgetting)
    for module in (*first, moving):
        app.include_router(module.router)
    for module in (
        flows,
        proposals,
        builds,
        constitution,
        suites,
        distillations,
        seeing,
        adapters,
        learning,
        batches,
        schedules,
        jobs,
        webhooks,
        access,
        quotas,
        system,
        web,
    ):
        app.include_router(module.router)
    app.router.routes.append(CountedRoute("/mcp", mcp))
    return app


def _harden(app: FastAPI, services: Services) -> None:
    """What stands before the routes; the last one added is met first."""
    settings = services.settings
    app.add_middleware(Gate, doorkeeper=services.doorkeeper)
    app.add_middleware(BodyLimit, max_bytes=settings.max_body_bytes, max_s=settings.max_body_s)
    app.add_middleware(Unforeseen)
    if settings.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(settings.cors_origins),
            allow_methods=["GET", "POST", "PUT", "PATCH", "DELETE"],
            allow_headers=["*"],
            expose_headers=EXPOSED,
        )
    app.add_middleware(Shield)
    app.add_middleware(Observe, metrics=services.metrics, tracer=services.tracer)
