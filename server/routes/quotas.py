"""Quotas: what a namespace may have at once and spend in a day."""

from __future__ import annotations

from dataclasses import asdict

from fastapi import APIRouter

from memory.errors import NotFound
from memory.types import GLOBAL
from server.auth import Identity
from server.deps import CoreDep, Operator, Reader
from server.quotas import Quota
from server.schemas.quotas import QuotaIn, QuotaOut
from server.services import Core
from server.work import TASK

router = APIRouter(prefix="/v1/quotas", tags=["system"])


@router.get("", summary="This namespace's quotas")
async def own(core: CoreDep, caller: Reader) -> QuotaOut:
    """What holds, and what is used of it."""
    return await _view(core, caller.namespace)


@router.get("/{space}", summary="A namespace's quotas")
async def get_quota(space: str, core: CoreDep, caller: Operator) -> QuotaOut:
    """For an operator of `*`."""
    _of_all(caller, space)
    return await _view(core, space)


@router.put("/{space}", summary="Set a namespace's quotas")
async def put_quota(space: str, body: QuotaIn, core: CoreDep, caller: Operator) -> QuotaOut:
    """In the place of the server's settings, from now on; for an operator of `*`."""
    _of_all(caller, space)
    await core.quotas.set(space, Quota(**body.model_dump()))
    return await _view(core, space)


@router.delete("/{space}", summary="Let the server's settings hold again")
async def delete_quota(space: str, core: CoreDep, caller: Operator) -> QuotaOut:
    """For an operator of `*`."""
    _of_all(caller, space)
    await core.quotas.unset(space)
    return await _view(core, space)


def _of_all(caller: Identity, space: str) -> None:
    if caller.namespace != GLOBAL:
        raise NotFound(f"this key sees no quotas of {space!r}: they are set by operators of {GLOBAL!r}")


async def _view(core: Core, namespace: str) -> QuotaOut:
    quota, spent = await core.quotas.of(namespace), await core.quotas.spent(namespace)
    living = await core.jobs.tally(namespace, TASK, living=True)
    return QuotaOut(
        namespace=namespace,
        **asdict(quota),
        living_tasks=sum(living.values()),
        spent_tokens=spent.tokens,
        spent_usd=spent.usd,
    )
