"""The FastAPI application: routes by resource, one error shape, nothing heavy at import or start."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from server import errors
from server.errors import ErrorBody
from server.mcp import McpEndpoint
from server.middleware import BodyLimit, CountedRoute, Observe
from server.routes import (
    adapters,
    builds,
    chat,
    consolidations,
    constitution,
    distillations,
    episodes,
    flows,
    forgetting,
    learning,
    memory,
    moving,
    proposals,
    revision,
    seeing,
    suites,
    system,
    tasks,
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


def create_app(services: Services) -> FastAPI:
    """The application over services; they are opened and closed with it."""
    mcp = McpEndpoint(services)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        services.start()
        async with mcp.running():
            yield
        await services.close()

    app = FastAPI(
        title="Apprentice",
        version="0.1.0",
        description=DESCRIPTION,
        lifespan=lifespan,
        responses={"4XX": {"model": ErrorBody}, "5XX": {"model": ErrorBody}},
    )
    app.state.services = services
    errors.install(app)
    app.add_middleware(BodyLimit, max_bytes=services.settings.max_body_bytes)
    app.add_middleware(Observe, metrics=services.metrics)
    # Consolidations first: to memory's routes their name would be an item's id.
    for module in (chat, tasks, worlds, episodes, consolidations, memory, revision, forgetting, moving):
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
        system,
    ):
        app.include_router(module.router)
    app.router.routes.append(CountedRoute("/mcp", mcp))
    return app
