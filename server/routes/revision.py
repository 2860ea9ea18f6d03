"""Versions: several items into one, what differs, how it all stood."""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import APIRouter, Query

from memory.types import Item
from memory.writing.restoring import Restored
from server.deps import CoreDep, Operator, Reader, Writer
from server.schemas.revision import Difference, MergeRequest, RestoreRequest

router = APIRouter(prefix="/v1/memory", tags=["memory"])
Version = Annotated[int, Query(ge=1, description="A version of the item.")]


@router.post("/merge", summary="Merge items", status_code=201)
async def merge(body: MergeRequest, core: CoreDep, caller: Writer) -> Item:
    """One new item in the place of several, which are retired and point to it; undoable."""
    return await asyncio.to_thread(
        core.memory.merge,
        caller.namespace,
        body.items,
        body.into.to_draft(caller.channel),
        principal=caller.principal,
        channel=caller.channel,
        expect_versions=body.expect_versions,
    )


@router.get("/{item_id}/diff", summary="What two versions say differently")
async def diff(
    item_id: str, core: CoreDep, caller: Reader, from_version: Version, to_version: Version
) -> Difference:
    """Field by field; parts of the body by name."""
    found = await asyncio.to_thread(core.memory.diff, caller.namespace, item_id, from_version, to_version)
    return Difference(data=list(found))


@router.post("/restore", summary="Restore the namespace")
async def restore(body: RestoreRequest, core: CoreDep, caller: Operator) -> Restored:
    """Every item as it stood at a log position, as new versions; restoring to `undo_seq` takes it back."""
    return await asyncio.to_thread(
        core.memory.restore, caller.namespace, body.seq, principal=caller.principal
    )


@router.post("/undo", summary="Undo a change")
async def undo(body: RestoreRequest, core: CoreDep, caller: Writer) -> Item:
    """Takes back the change of one item at a log position, see its history; 409 when a later one stands."""
    return await asyncio.to_thread(core.memory.undo, caller.namespace, body.seq, principal=caller.principal)
