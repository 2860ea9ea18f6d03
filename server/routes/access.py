"""Who one is, the keys of one's namespace, and who did what in it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Query, Request

from memory.errors import BadInput, Denied, NotFound
from memory.types import Json
from server.auth import AccessScope, ApiKey, Identity
from server.deps import After, CoreDep, Limit, Operator, Reader, ServicesDep
from server.schemas.access import (
    AuditEntry,
    AuditList,
    CallerOut,
    ChainOut,
    KeyIn,
    KeyList,
    KeyMade,
    KeyOut,
    RotateIn,
)
from server.services import Services

router = APIRouter(prefix="/v1", tags=["access"])


@router.get("/me", summary="Who am I?")
async def who_am_i(caller: Reader) -> CallerOut:
    """What the credential of this request opens."""
    scopes = None if caller.scopes is None else sorted(caller.scopes)
    return CallerOut(namespace=caller.namespace, principal=caller.principal, role=caller.role, scopes=scopes)


@router.post("/keys", summary="Make a key", status_code=201)
async def create(body: KeyIn, request: Request, services: ServicesDep, caller: Operator) -> KeyMade:
    """For operators, in their own namespace. The secret is in this answer alone; only its hash is kept."""
    key, secret = await asyncio.to_thread(
        services.keys.create,
        caller.namespace,
        body.role,
        label=body.label,
        ttl_s=None if body.days is None else body.days * 86_400,
        scopes=_within(caller, body.scopes),
        made_by=caller.principal,
    )
    _note(request, {"key_id": key.id, "role": key.role})
    return _with_secret(services, key, secret)


@router.get("/keys", summary="Keys of this namespace, oldest first")
async def list_keys(
    services: ServicesDep, caller: Operator, limit: Limit = 50, after: After = None
) -> KeyList:
    """For operators; revoked and expired ones too, none with its secret."""
    keys = _own(services, caller)
    if after is not None:
        places = [place for place, key in enumerate(keys) if key.id == after]
        if not places:
            raise NotFound(f"there is no key {after!r} to go on after")
        keys = keys[places[0] + 1 :]
    page = keys[:limit]
    return KeyList(data=_views(services, page), next=page[-1].id if len(keys) > limit else None)


@router.get("/keys/{key_id}", summary="One key")
async def get_key(key_id: str, services: ServicesDep, caller: Operator) -> KeyOut:
    """For operators; without its secret."""
    for key in _own(services, caller):
        if key.id == key_id:
            return _view(services, key)
    raise NotFound(f"there is no key {key_id!r} here")


@router.post("/keys/{key_id}/rotate", summary="Give a key a new secret")
async def rotate(
    key_id: str, services: ServicesDep, caller: Operator, body: RotateIn | None = None
) -> KeyMade:
    """For operators. It keeps its id, so that the log goes on knowing its holder; the old secret opens for
    `overlap_s` more. A key that expires gets as long again as it had.
    """
    found = await get_key(key_id, services, caller)
    _within(caller, found.scopes)
    overlap_s = body.overlap_s if body else 0.0
    key, secret = await asyncio.to_thread(
        services.keys.rotate, key_id, overlap_s=overlap_s, namespace=caller.namespace
    )
    return _with_secret(services, key, secret)


@router.delete("/keys/{key_id}", summary="Revoke a key")
async def revoke(key_id: str, services: ServicesDep, caller: Operator) -> KeyOut:
    """For operators. From now on it opens nothing; it stays in the list."""
    key = await asyncio.to_thread(services.keys.revoke, key_id, namespace=caller.namespace)
    return _view(services, key)


@router.get("/audit", summary="Who did what")
async def list_audit(
    core: CoreDep,
    caller: Operator,
    limit: Limit = 50,
    after: After = None,
    principal: Annotated[str | None, Query(max_length=256, description="Of this one alone.")] = None,
    op: Annotated[str | None, Query(max_length=64, description="Of this kind alone, e.g. `act`.")] = None,
    full: Annotated[bool, Query(description="With what items said before and after.")] = False,
) -> AuditList:
    """For operators: the log of memory of this namespace, oldest first; it is only ever appended to."""
    if after is not None and not after.isdecimal():
        raise BadInput(f"after is {after!r}: give the `next` of a page, a number")
    found = await asyncio.to_thread(
        core.memory.log,
        caller.namespace,
        after=int(after or 0),
        limit=limit + 1,
        principal=principal,
        op=op,
    )
    data = [AuditEntry.of(entry, full=full) for entry in found[:limit]]
    return AuditList(data=data, next=str(data[-1].seq) if len(found) > limit else None)


@router.get("/audit/chain", summary="Was the log tampered with?")
async def verify_chain(core: CoreDep, _caller: Operator) -> ChainOut:
    """For operators. Reads the whole log of the server, which takes a while where that is long."""
    broken = await asyncio.to_thread(core.memory.verify_log)
    return ChainOut(holds=broken is None, first_broken=broken)


def _own(services: Services, caller: Identity) -> list[ApiKey]:
    return [key for key in services.keys.all() if key.namespace == caller.namespace]


def _within(caller: Identity, wanted: list[AccessScope] | None) -> list[AccessScope] | None:
    """Nobody hands on what they may not do. Raises Denied."""
    if caller.scopes is None:
        return wanted
    if wanted is None or not caller.scopes.issuperset(wanted):
        raise Denied(f"this key may hand on no more than its own scopes: {', '.join(sorted(caller.scopes))}")
    return wanted


def _note(request: Request, did: dict[str, Json]) -> None:
    """For the log, beside what the path says."""
    request.state.did = did


def _views(services: Services, keys: Sequence[ApiKey]) -> list[KeyOut]:
    use = services.doorkeeper.use
    used = {} if use is None else use.all()
    return [KeyOut.of(key, services.keys.now, used.get(key.principal)) for key in keys]


def _view(services: Services, key: ApiKey) -> KeyOut:
    return _views(services, [key])[0]


def _with_secret(services: Services, key: ApiKey, secret: str) -> KeyMade:
    return KeyMade(**_view(services, key).model_dump(), secret=secret)
