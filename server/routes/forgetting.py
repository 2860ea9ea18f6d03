"""Forgetting with all that follows: in memory, in datasets, in adapters."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from fastapi import APIRouter

from memory.errors import BadInput
from memory.writing.forgetting import Cascade, Root, RootKind
from server.auth import Identity
from server.deps import CoreDep, Operator, ServicesDep
from server.forgetting import reach, rebuild, remove_copies
from server.schemas.revision import CascadeOut, EraseRequest, ForgetRequest, RevokeRequest
from server.services import Core
from server.settings import Settings

if TYPE_CHECKING:
    from distill.manifest import AdapterManifest

router = APIRouter(prefix="/v1/memory", tags=["memory"])


@router.post("/forget", summary="Forget a thing and all that rests on it")
async def forget(body: ForgetRequest, core: CoreDep, services: ServicesDep, caller: Operator) -> CascadeOut:
    """Follows lineage from an item, episode, principal, source or the namespace to everything made of it.

    Items that rest on it alone are retired, others lose that support; episodes may never teach again;
    adapters trained on them serve no more. Nothing is deleted: `restore` brings items back.
    """
    cascade = await asyncio.to_thread(
        core.memory.forget_all,
        caller.namespace,
        _root(body.kind, body.id, caller),
        principal=caller.principal,
        dry_run=body.dry_run,
    )
    out, blocked = await _reported(core, services.settings, caller, cascade, dry_run=body.dry_run)
    return await _rebuilt(core, caller, out, blocked)


@router.post("/revoke", summary="Take back a source")
async def revoke(body: RevokeRequest, core: CoreDep, services: ServicesDep, caller: Operator) -> CascadeOut:
    """As `forget` of a source, and further: what was learned while any of it was in the prompt falls too.

    Adapters that rested on it stop answering at once, and are made again of what is left.
    """
    cascade = await asyncio.to_thread(
        core.memory.revoke,
        caller.namespace,
        body.source,
        principal=caller.principal,
        dry_run=body.dry_run,
    )
    out, blocked = await _reported(core, services.settings, caller, cascade, dry_run=body.dry_run)
    return await _rebuilt(core, caller, out, blocked)


@router.post("/erase", summary="Erase a thing and all that rests on it")
async def erase(body: EraseRequest, core: CoreDep, services: ServicesDep, caller: Operator) -> CascadeOut:
    """Forgets it, then removes every word: from items, history, search, vectors, episodes, jobs, datasets.

    It cannot be undone, and the report says what a search still finds: nothing. Backups and bundles that were
    made before are out of reach.
    """
    erased = await asyncio.to_thread(
        core.memory.erase,
        caller.namespace,
        _root(body.kind, body.id, caller),
        principal=caller.principal,
    )
    out, blocked = await _reported(core, services.settings, caller, erased.cascade, dry_run=False)
    removed = await remove_copies(core, services.settings, caller.namespace, erased.episodes)
    out = out.model_copy(update={"erased": erased, "removed": list(removed)})
    return await _rebuilt(core, caller, out, blocked)


def _root(kind: RootKind, name: str, caller: Identity) -> Root:
    if kind == "namespace" and name != caller.namespace:
        raise BadInput(f"this key is of the namespace {caller.namespace!r}, not {name!r}: name it to be sure")
    return Root(kind, name)


async def _reported(
    core: Core, settings: Settings, caller: Identity, cascade: Cascade, *, dry_run: bool
) -> tuple[CascadeOut, tuple[AdapterManifest, ...]]:
    """What fell, and the adapters that may serve no more since."""
    reached = await asyncio.to_thread(reach, core, settings, caller.namespace, cascade, block=not dry_run)
    out = CascadeOut(
        dry_run=dry_run, cascade=cascade, datasets=list(reached.datasets), adapters=list(reached.adapters)
    )
    return out, reached.blocked


async def _rebuilt(
    core: Core, caller: Identity, out: CascadeOut, blocked: tuple[AdapterManifest, ...]
) -> CascadeOut:
    return out.model_copy(update={"rebuilds": list(await rebuild(core, caller, blocked))})
