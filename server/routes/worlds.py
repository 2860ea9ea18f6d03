"""Worlds and the tasks they offer."""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import APIRouter, Query

from server.deps import CoreDep, Reader
from server.schemas.tasks import WorldOut, WorldTask
from server.worlds import TOOLS

router = APIRouter(prefix="/v1/worlds", tags=["worlds"])


@router.get("", summary="The worlds tasks can be set in")
async def list_worlds(core: CoreDep, _caller: Reader) -> list[WorldOut]:
    """The bundled ones, those of others that are set, then `tools` with the operator's functions."""
    tools = [tool.spec.name for tool in core.worlds.tools]
    return [
        WorldOut(name=name, listed=name in core.worlds.listed, tools=tools if name == TOOLS else [])
        for name in core.worlds.names
    ]


@router.get("/{name}/tasks", summary="Draw tasks of a site")
async def list_tasks(
    name: str,
    core: CoreDep,
    _caller: Reader,
    site: Annotated[str, Query(description="A site's name, e.g. `maple 27`.", max_length=100)],
    split: Annotated[
        str, Query(description="`work`, `gate`, `family` or `wording`; worlds of others have theirs.")
    ] = "work",
    n: Annotated[int, Query(ge=1, le=500)] = 10,
    seed: int = 0,
) -> list[WorldTask]:
    """`n` different tasks, always the same ones for the same seed."""
    tasks = await asyncio.to_thread(core.worlds.catalogue(name).tasks, site=site, split=split, n=n, seed=seed)
    return [
        WorldTask(id=t.id, text=t.text, world=t.world, family=t.family, config=dict(t.config)) for t in tasks
    ]
