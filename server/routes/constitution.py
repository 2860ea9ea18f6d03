"""The constitution: the principles in force, as JSON or as Markdown."""

from __future__ import annotations

import asyncio
from typing import Annotated, Literal

from fastapi import APIRouter, Header, Query, Response

from memory.constitution.forms import to_markdown
from server.deps import CoreDep, Reader
from server.routes.memory import count_words
from server.schemas.memory import ConstitutionOut

router = APIRouter(prefix="/v1/constitution", tags=["constitution"])


@router.get(
    "",
    summary="The principles in force",
    response_model=ConstitutionOut,
    responses={200: {"content": {"text/markdown": {"schema": {"type": "string"}}}}},
)
async def get_constitution(
    core: CoreDep,
    caller: Reader,
    family: Annotated[
        str | None, Query(description="Only what holds for this site or family; all of it when left out.")
    ] = None,
    token_budget: Annotated[int, Query(ge=0, le=100_000)] = 4096,
    form: Annotated[
        Literal["json", "markdown"] | None, Query(alias="format", description="Otherwise by `Accept`.")
    ] = None,
    accept: Annotated[str, Header()] = "",
) -> Response | ConstitutionOut:
    """Markdown reads as a system prompt or an AGENTS.md. Principles are changed through `/v1/memory`."""
    constitution = await asyncio.to_thread(
        core.memory.constitution,
        caller.namespace,
        family,
        token_budget=token_budget,
        count_tokens=count_words,
        every_family=family is None,
    )
    if form == "markdown" or (form is None and "text/markdown" in accept):
        return Response(to_markdown(constitution), media_type="text/markdown; charset=utf-8")
    return ConstitutionOut(
        namespace=constitution.namespace,
        family=constitution.family,
        version=constitution.version,
        principles=list(constitution.principles),
        dropped=list(constitution.dropped),
    )
