"""Suites of the gate: which tasks are frozen, so that memory never holds them."""

from __future__ import annotations

import asyncio
import time

from fastapi import APIRouter

from memory.errors import NotFound
from server.deps import CoreDep, Operator, Reader
from server.schemas.distill import SuiteIn, SuitesIn, SuitesOut
from server.suites import Declaration

router = APIRouter(prefix="/v1/suites", tags=["distillations"])


@router.get("", summary="The suites of this namespace's gate")
async def get_suites(core: CoreDep, caller: Reader) -> SuitesOut:
    """Empty while none are declared."""
    return _view(await asyncio.to_thread(core.suites.of, caller.namespace))


@router.put("", summary="Declare the suites of this namespace's gate")
async def declare(body: SuitesIn, core: CoreDep, caller: Operator) -> SuitesOut:
    """Every distillation is judged on them, whoever asks for it, and nothing of their tasks is learned from.

    409 when memory has learned from one of the tasks already.
    """
    for suite in body.suites:
        core.worlds.catalogue(suite.world)
    named = tuple(suite.suite() for suite in body.suites)
    declaration = Declaration(named, tuple(body.seeds), caller.principal, time.time())
    done = await asyncio.to_thread(core.suites.declare, caller.namespace, declaration, core.memory)
    return _view(done)


@router.delete("", summary="Withdraw the suites of this namespace's gate")
async def withdraw(core: CoreDep, caller: Operator) -> SuitesOut:
    """Their tasks may be learned from again. 404 where there are none."""
    if core.suites.of(caller.namespace) is None:
        raise NotFound("this namespace has declared no suites")
    await asyncio.to_thread(core.suites.withdraw, caller.namespace)
    return _view(None)


def _view(found: Declaration | None) -> SuitesOut:
    if found is None:
        return SuitesOut(suites=[], seeds=[], tasks=0)
    suites = [SuiteIn.of(suite) for suite in found.suites]
    return SuitesOut(
        suites=suites, seeds=list(found.seeds), tasks=len(found.tasks()), by=found.by, at=found.at
    )
