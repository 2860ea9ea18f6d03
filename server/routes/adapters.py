"""Adapters: what distillation made, which one serves."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter

from memory.errors import Denied, NotFound
from server.auth import Identity
from server.deps import CoreDep, Operator, Reader
from server.jobs import json_object
from server.schemas.distill import AdapterList, AdapterOut
from server.services import Core

router = APIRouter(prefix="/v1/adapters", tags=["adapters"])


@router.get("", summary="Adapters, oldest first")
async def list_adapters(core: CoreDep, caller: Reader) -> AdapterList:
    """Those distilled from this namespace's memory."""
    return AdapterList(data=await asyncio.to_thread(_views, core, caller))


@router.get("/{adapter_id}", summary="One adapter with its manifest")
async def get_adapter(adapter_id: str, core: CoreDep, caller: Reader) -> AdapterOut:
    """Checksums, lineage, settings and the gate's report."""
    return await asyncio.to_thread(_view_of, core, caller, adapter_id)


@router.post("/{adapter_id}/promote", summary="Let an adapter serve")
async def promote(adapter_id: str, core: CoreDep, caller: Operator) -> AdapterOut:
    """From now on `local:<base>+promoted` is this one; its files are checked first."""

    def do() -> AdapterOut:
        _view_of(core, caller, adapter_id)
        core.registry().verify(adapter_id, core.models.base_folder(adapter_id))
        core.registry().promote(adapter_id)
        return _view_of(core, caller, adapter_id)

    return await asyncio.to_thread(do)


@router.post("/rollback", summary="Let the adapter before serve again")
async def rollback(core: CoreDep, caller: Operator) -> AdapterList:
    """409 when none served before. Refused for the adapter of another namespace."""

    def do() -> list[AdapterOut]:
        serving = core.registry().current()
        if serving is not None and core.registry().get(serving).namespace != caller.namespace:
            raise Denied("the adapter in service was distilled in another namespace")
        core.registry().rollback()
        return _views(core, caller)

    return AdapterList(data=await asyncio.to_thread(do))


def _view_of(core: Core, caller: Identity, adapter_id: str) -> AdapterOut:
    for view in _views(core, caller):
        if view.id == adapter_id:
            return view
    raise NotFound(f"there is no adapter {adapter_id!r} here")


def _views(core: Core, caller: Identity) -> list[AdapterOut]:
    serving = core.registry().current()
    return [
        AdapterOut(
            id=manifest.id,
            model=f"local:{manifest.base}+{manifest.id}",
            promoted=manifest.id == serving,
            manifest=json_object(manifest),
        )
        for manifest in core.registry().list()
        if manifest.namespace == caller.namespace
    ]
