"""Adapters: what distillation made, what of, and which one serves."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Query

from memory.errors import BadInput, Denied, NotFound
from server.auth import Identity, Keys
from server.deps import CoreDep, Limit, Operator, Reader, ServicesDep
from server.jobs import json_object
from server.schemas.distill import AdapterList, AdapterOut, CanaryIn, LineageOut, LineageRow, PromoteIn
from server.services import Core, Services, new_id

if TYPE_CHECKING:  # torch takes seconds to import
    from distill.manifest import AdapterManifest
    from distill.registry import Pointer

log = logging.getLogger("apprentice.adapters")
router = APIRouter(prefix="/v1/adapters", tags=["adapters"])


@router.get("", summary="Adapters, oldest first")
async def list_adapters(
    core: CoreDep,
    caller: Reader,
    episode: Annotated[str | None, Query(description="Only those it trained.")] = None,
    item: Annotated[str | None, Query(description="Only those it was in view of.")] = None,
) -> AdapterList:
    """Those distilled from this namespace's memory, blocked ones too."""

    def find() -> list[AdapterOut]:
        views = _views(core, caller)
        if episode is None and item is None:
            return views
        episodes, items = ([one] if one else [] for one in (episode, item))
        touched = core.registry().touched(caller.namespace, episodes, items)
        return [view for view in views if view.id in touched]

    return AdapterList(data=await asyncio.to_thread(find))


@router.get("/{adapter_id}", summary="One adapter with its manifest")
async def get_adapter(adapter_id: str, core: CoreDep, caller: Reader) -> AdapterOut:
    """Checksums, lineage, settings, the gate's report, and who let it serve against that."""
    return await asyncio.to_thread(_view_of, core, caller, adapter_id)


@router.get("/{adapter_id}/lineage", summary="What an adapter was made of")
async def lineage(
    adapter_id: str,
    core: CoreDep,
    caller: Reader,
    limit: Limit = 100,
    after: Annotated[int, Query(ge=0, description="`next` of the page before.")] = 0,
) -> LineageOut:
    """Episodes, items in view, and a page of rows with the messages that trained."""

    def find() -> LineageOut:
        _view_of(core, caller, adapter_id)
        manifest, rows = core.registry().get(adapter_id), core.registry().lineage(adapter_id)
        page = [LineageRow(**asdict(row)) for row in rows[after : after + limit]]
        return LineageOut(
            adapter=adapter_id,
            episodes=list(manifest.episodes),
            items=list(manifest.items),
            rows=page,
            next=after + limit if after + limit < len(rows) else None,
        )

    return await asyncio.to_thread(find)


@router.post("/{adapter_id}/promote", summary="Let an adapter serve")
async def promote(
    adapter_id: str, core: CoreDep, services: ServicesDep, caller: Operator, body: PromoteIn | None = None
) -> AdapterOut:
    """From now on `local:<base>+promoted` is this one; its files are checked first.

    Not with the key that asked for its distillation. Against the gate only with a reason, which is kept.
    """
    reason = body.reason if body else ""

    def do() -> AdapterOut:
        core.registry().promote(adapter_id)
        return _view_of(core, caller, adapter_id)

    await _ready(core, services, caller, adapter_id, reason)
    promoted = await asyncio.to_thread(do)
    # It may be promoted again after another was.
    await core.hooks.emit(caller.namespace, "adapter.promoted", new_id(adapter_id), {"id": adapter_id})
    return promoted


@router.post("/{adapter_id}/canary", summary="Try an adapter out on a share of episodes")
async def canary(
    adapter_id: str, body: CanaryIn, core: CoreDep, services: ServicesDep, caller: Operator
) -> AdapterOut:
    """`local:<base>+promoted` is this one for that share, drawn by the episode's id, until it is promoted,
    rolled back or given a share of 0. The same keys and reasons are needed as to promote it.
    """

    def do() -> AdapterOut:
        _view_of(core, caller, adapter_id)
        core.registry().try_out(adapter_id, body.share)
        return _view_of(core, caller, adapter_id)

    if body.share:
        await _ready(core, services, caller, adapter_id, body.reason)
    return await asyncio.to_thread(do)


@router.post("/rollback", summary="Let the adapter before serve again")
async def rollback(core: CoreDep, caller: Operator) -> AdapterList:
    """Of this namespace; 409 when none served before."""

    def do() -> list[AdapterOut]:
        core.registry().rollback(caller.namespace)
        return _views(core, caller)

    return AdapterList(data=await asyncio.to_thread(do))


async def _ready(core: Core, services: Services, caller: Identity, adapter_id: str, reason: str) -> None:
    """Approved, loaded, and found to answer as it did when trained, before anybody is sent to it."""

    def approve() -> str:
        model = _view_of(core, caller, adapter_id).model
        _approve(core, services.keys, caller, adapter_id, reason)
        return model

    async with core.models.use(await asyncio.to_thread(approve)):
        pass


def _approve(core: Core, keys: Keys, caller: Identity, adapter_id: str, reason: str) -> None:
    """May this caller let it serve? Raises Denied, BadInput, AdapterRefused."""
    manifest = core.registry().verify(adapter_id, core.models.base_folder(adapter_id))
    if manifest.proposer == caller.principal:
        raise Denied(
            f"{caller.principal} asked for this distillation and cannot let its adapter serve: the gate can,"
            " or another operator's key (`apprentice keys create`)"
        )
    if manifest.passed:
        return
    if not reason.strip():
        why = manifest.gate.get("reason", "it was not judged")
        raise BadInput(f"the gate kept {adapter_id!r} out ({why}): give a `reason` to let it serve anyway")
    by = _named(keys, caller)
    core.registry().record_override(adapter_id, by, reason.strip())
    log.warning("%s lets %s serve against the gate: %s", by, adapter_id, reason.strip())


def _named(keys: Keys, caller: Identity) -> str:
    """The principal, with what its key is called."""
    labels = {f"key:{key.id}": key.label for key in keys.all()}
    label = labels.get(caller.principal)
    return f"{caller.principal} ({label})" if label else caller.principal


def _view_of(core: Core, caller: Identity, adapter_id: str) -> AdapterOut:
    for view in _views(core, caller):
        if view.id == adapter_id:
            return view
    raise NotFound(f"there is no adapter {adapter_id!r} here")


def _views(core: Core, caller: Identity) -> list[AdapterOut]:
    pointer = core.registry().pointer(caller.namespace)
    return [
        _view(manifest, pointer)
        for manifest in core.registry().list()
        if manifest.namespace == caller.namespace
    ]


def _view(manifest: AdapterManifest, pointer: Pointer) -> AdapterOut:
    tried = pointer.canary.share if pointer.canary is not None else 0.0
    is_canary = pointer.canary is not None and pointer.canary.adapter == manifest.id
    is_serving = manifest.id == pointer.current
    return AdapterOut(
        id=manifest.id,
        model=f"local:{manifest.base}+{manifest.id}",
        promoted=is_serving,
        share=tried if is_canary else 1.0 - tried if is_serving else 0.0,
        manifest=json_object(manifest),
    )
