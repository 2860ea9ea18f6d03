"""The constitution: the principles in force in several forms, their versions, and those of others."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Response
from fastapi.responses import FileResponse

from memory.constitution import forms
from memory.constitution.select import line_of
from memory.constitution.versions import ConstitutionVersion
from memory.errors import Denied
from memory.types import Channel, Constitution
from memory.writing.restoring import Restored
from server.deps import CoreDep, Operator, Reader, Writer
from server.routes.memory import count_words
from server.routes.moving import Vouched, bundle_of
from server.schemas.constitution import (
    ConstitutionDifference,
    ConstitutionIn,
    ConstitutionOut,
    Form,
    FreezeRequest,
    Review,
    RollBackRequest,
    VersionList,
)
from server.schemas.memory import ItemList

router = APIRouter(prefix="/v1/constitution", tags=["constitution"])
WRITERS: Mapping[str, Callable[[Constitution], str]] = {
    "markdown": forms.to_markdown,
    "agents": forms.to_agents,
    "system": forms.to_system,
}
FormQuery = Annotated[
    Form | None,
    Query(
        alias="format",
        description="`markdown` for people, `agents` for an AGENTS.md, `system` for a system prompt, `json`; "
        "otherwise by `Accept`.",
    ),
]
TokenBudget = Annotated[int, Query(ge=0, le=100_000)]
Accept = Annotated[str, Header()]
OTHERWISE: dict[int | str, dict[str, Any]] = {
    200: {"content": {"text/markdown": {"schema": {"type": "string"}}}}
}


@router.get("", summary="The principles in force", response_model=ConstitutionOut, responses=OTHERWISE)
async def get_constitution(
    core: CoreDep,
    caller: Reader,
    family: Annotated[
        str | None, Query(description="Only what holds for this site or family; all of it when left out.")
    ] = None,
    token_budget: TokenBudget = 4096,
    form: FormQuery = None,
    accept: Accept = "",
) -> Response | ConstitutionOut:
    """For people, for programs, for other agents. Principles are changed one by one through `/v1/memory`."""
    constitution = await asyncio.to_thread(
        core.memory.constitution,
        caller.namespace,
        family,
        token_budget=token_budget,
        count_tokens=count_words,
        every_family=family is None,
    )
    return _written(constitution, form, accept)


@router.get("/versions", summary="Versions of the constitution")
async def list_versions(
    core: CoreDep, caller: Reader, limit: Annotated[int, Query(ge=1, le=1000)] = 100
) -> VersionList:
    """Every change of what is in force, newest first, and what was frozen."""
    found = await asyncio.to_thread(core.memory.constitution_versions, caller.namespace, limit=limit)
    return VersionList(data=list(found))


@router.get(
    "/versions/{version_id}",
    summary="A frozen version",
    response_model=ConstitutionOut,
    responses=OTHERWISE,
)
async def get_version(
    version_id: str,
    core: CoreDep,
    caller: Reader,
    token_budget: TokenBudget = 4096,
    form: FormQuery = None,
    accept: Accept = "",
) -> Response | ConstitutionOut:
    """As agents are served it who name it; 409 when nobody froze it."""
    constitution = await asyncio.to_thread(
        core.memory.frozen, caller.namespace, version_id, token_budget=token_budget, count_tokens=count_words
    )
    return _written(constitution, form, accept)


@router.get("/diff", summary="What two versions have differently")
async def diff(core: CoreDep, caller: Reader, from_version: str, to_version: str) -> ConstitutionDifference:
    """Principles that came, went, or say something else, these field by field."""
    found = await asyncio.to_thread(core.memory.compare, caller.namespace, from_version, to_version)
    return ConstitutionDifference(data=list(found))


@router.post("/freeze", summary="Freeze the constitution", status_code=201)
async def freeze(body: FreezeRequest, core: CoreDep, caller: Writer) -> ConstitutionVersion:
    """A version that stays as it is: tasks that name it are served it, whatever is learned meanwhile."""
    return await asyncio.to_thread(
        core.memory.freeze,
        caller.namespace,
        body.family,
        principal=caller.principal,
        only=body.principles,
    )


@router.post("/rollback", summary="Roll the constitution back")
async def roll_back(body: RollBackRequest, core: CoreDep, caller: Operator) -> Restored:
    """Every principle as it stood at a version; a restore to `undo_seq` takes it back. The rest stays."""
    return await asyncio.to_thread(
        core.memory.roll_back, caller.namespace, body.version, principal=caller.principal
    )


@router.post("/review", summary="Review the principles")
async def review(core: CoreDep, caller: Operator) -> Review:
    """Promotes and demotes what is due now; the same happens whenever an episode has been learned from."""
    found = await asyncio.to_thread(core.memory.review, caller.namespace, principal=caller.principal)
    return Review(data=list(found))


@router.get("/bundle", summary="Export the constitution", response_class=FileResponse)
async def export_bundle(
    core: CoreDep,
    caller: Reader,
    family: Annotated[str | None, Query(description="Only what holds for this site or family.")] = None,
) -> FileResponse:
    """A tar of a signed bundle with the principles in force alone; `POST /v1/bundle` takes it in."""
    write = partial(core.memory.export_constitution, caller.namespace, family=family)
    return await bundle_of(write, f"{caller.namespace}-constitution.tar")


@router.post("/import", summary="Import a constitution", status_code=201)
async def import_constitution(
    body: ConstitutionIn, core: CoreDep, caller: Writer, vouched: Vouched = False
) -> ItemList:
    """Another memory's principles, all on trial: without pins, statistics and evidence, which are not here.

    Trusted as external, unless an operator vouches; then no more than the caller's channel. What is known
    already is answered with the item there is.
    """
    items = await asyncio.to_thread(
        core.memory.remember,
        caller.namespace,
        forms.to_drafts(body.to_constitution()),
        principal=caller.principal,
        channel=_believed(caller.channel, vouched=vouched),
    )
    return ItemList(data=list(items))


def _believed(channel: Channel, *, vouched: bool) -> Channel:
    if vouched and channel != "operator":
        raise Denied(f"only an operator can vouch for a constitution, not {channel!r}")
    return channel if vouched else "external"


def _written(constitution: Constitution, form: Form | None, accept: str) -> Response | ConstitutionOut:
    if form is None:
        form = "markdown" if "text/markdown" in accept else "json"
    if form == "json":
        tokens = sum(count_words(line_of(item)) for item in constitution.principles)
        return ConstitutionOut.of(constitution, tokens)
    return Response(WRITERS[form](constitution), media_type="text/markdown; charset=utf-8")
