"""Memory: remember, search with explain, look, edit, forget."""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import APIRouter, Header, Query

from memory.types import Item, ItemKind, Lineage, Scope, Status
from memory.types import Query as RecallQuery
from server.agents import settings_for
from server.auth import Identity
from server.deps import After, CoreDep, Limit, Reader, Writer
from server.schemas.memory import (
    EditRequest,
    History,
    ItemList,
    RememberRequest,
    SearchRequest,
    SearchResult,
)
from server.services import Core

router = APIRouter(prefix="/v1/memory", tags=["memory"])


def count_words(text: str) -> int:
    """Token cost where no model is at hand: about four letters a token."""
    return len(text) // 4 + 1


@router.post("", summary="Remember items", status_code=201)
async def remember(
    body: RememberRequest,
    core: CoreDep,
    caller: Writer,
    idempotency_key: Annotated[
        str | None, Header(max_length=200, description="A repeated request with the same key adds nothing.")
    ] = None,
) -> ItemList:
    """All or none; durable when answered. What is known already is answered with the item there is.

    A principle is in force at once if an operator says it; anybody else's is on trial.
    """
    items = await asyncio.to_thread(
        core.memory.remember,
        caller.namespace,
        [item.to_draft(caller.channel) for item in body.items],
        principal=caller.principal,
        channel=caller.channel,
        idempotency_key=idempotency_key,
    )
    return ItemList(data=list(items))


@router.get("", summary="Items")
async def list_items(
    core: CoreDep,
    caller: Reader,
    limit: Limit = 50,
    after: After = None,
    kind: ItemKind | None = None,
    status: Status | None = None,
    family: Annotated[str | None, Query(max_length=200)] = None,
    scope: Scope | None = None,
    words: Annotated[
        str | None, Query(max_length=200, description="Which must all occur in the text.")
    ] = None,
    newest: Annotated[bool, Query(description="Newest first, not oldest.")] = False,
) -> ItemList:
    """One page of this namespace's items, retired ones too."""
    found = await asyncio.to_thread(
        core.memory.items,
        caller.namespace,
        kind=kind,
        status=status,
        family=family,
        scope=scope,
        words=words,
        limit=limit + 1,
        after=after,
        newest=newest,
    )
    return ItemList(data=list(found[:limit]), next=found[limit - 1].id if len(found) > limit else None)


@router.get("/search", summary="What would be recalled?")
async def search_by_query(
    core: CoreDep,
    caller: Reader,
    query: Annotated[str, Query(min_length=1, max_length=20_000)],
    family: str | None = None,
    k: Annotated[int, Query(ge=1, le=100)] = 4,
    explain: bool = False,
) -> SearchResult:
    """The short form of `POST /v1/memory/search`."""
    return await _search(core, caller, SearchRequest(query=query, family=family, k=k, explain=explain))


@router.post("/search", summary="What would be recalled, and why?")
async def search(body: SearchRequest, core: CoreDep, caller: Reader) -> SearchResult:
    """Reads only; `explain` returns every candidate with score parts and its fate."""
    return await _search(core, caller, body)


@router.get("/{item_id}", summary="One item")
async def get_item(item_id: str, core: CoreDep, caller: Reader) -> Item:
    """At its newest version."""
    return await asyncio.to_thread(core.memory.get, caller.namespace, item_id)


@router.patch("/{item_id}", summary="Change an item")
async def edit_item(item_id: str, body: EditRequest, core: CoreDep, caller: Writer) -> Item:
    """Appends a version; nothing is rewritten."""
    lineage = None if body.evidence is None else Lineage(evidence=tuple(body.evidence))
    return await asyncio.to_thread(
        core.memory.edit,
        caller.namespace,
        item_id,
        principal=caller.principal,
        channel=caller.channel,
        text=body.text,
        body=body.body,
        status=body.status,
        pinned=body.pinned,
        lineage=lineage,
        expect_version=body.expect_version,
    )


@router.delete("/{item_id}", summary="Forget an item")
async def forget_item(item_id: str, core: CoreDep, caller: Writer) -> Item:
    """It is recalled no more; its history stays."""
    return await asyncio.to_thread(
        core.memory.forget, caller.namespace, item_id, principal=caller.principal, channel=caller.channel
    )


@router.get("/{item_id}/history", summary="Every change of an item")
async def item_history(item_id: str, core: CoreDep, caller: Reader) -> History:
    """Oldest first, with the state before and after."""
    return History(data=list(await asyncio.to_thread(core.memory.history, caller.namespace, item_id)))


async def _search(core: Core, caller: Identity, body: SearchRequest) -> SearchResult:
    mixture = (await settings_for(core, caller.namespace)).mixture
    query = RecallQuery(
        caller.namespace,
        body.query,
        family=body.family,
        run=body.run,
        team=body.team,
        kinds=tuple(body.kinds),
        k=body.k,
        token_budget=body.token_budget,
        policy=body.policy or (mixture[0][0] if mixture else None),
    )
    recall = await asyncio.to_thread(core.memory.recall, query, count_tokens=count_words, counter="letters/4")
    return SearchResult(
        hits=list(recall.hits),
        candidates=list(recall.candidates) if body.explain else None,
        log_seq=recall.log_seq,
        encoder=recall.encoder,
    )
