"""Consolidations: put a namespace's memory in order, as a job."""

from __future__ import annotations

from fastapi import APIRouter

from memory.codec import from_json
from memory.facade.tending import Consolidation
from server.auth import Identity
from server.consolidating import CONSOLIDATE, ConsolidateOrder
from server.deps import After, CoreDep, Limit, Operator, Reader
from server.jobs import Job, JobAddress, json_object
from server.schemas.revision import ConsolidationList, ConsolidationOut, ConsolidationRequest
from server.services import new_id

router = APIRouter(prefix="/v1/memory/consolidations", tags=["memory"])


@router.post("", summary="Put the memory in order", status_code=202)
async def start(body: ConsolidationRequest, core: CoreDep, caller: Operator) -> ConsolidationOut:
    """Merges near-duplicates, draws procedures from cases, archives what is of no use; each step undoable.

    With `dry_run` nothing is written and the report says what would be done.
    """
    order = ConsolidateOrder(caller.principal, body.dry_run)
    address = _address(caller, new_id("consolidation"))
    return _view(await core.jobs.enqueue(address, json_object(order)))


@router.get("", summary="Consolidations, newest first")
async def list_consolidations(
    core: CoreDep, caller: Reader, limit: Limit = 20, after: After = None
) -> ConsolidationList:
    """One page of this namespace's consolidations."""
    jobs = await core.jobs.list(caller.namespace, CONSOLIDATE, limit=limit + 1, after=after)
    data = [_view(job) for job in jobs[:limit]]
    return ConsolidationList(data=data, next=data[-1].id if len(jobs) > limit else None)


@router.get("/{consolidation_id}", summary="One consolidation")
async def get_consolidation(consolidation_id: str, core: CoreDep, caller: Reader) -> ConsolidationOut:
    """State, and the report once it has ended."""
    return _view(await core.jobs.get(_address(caller, consolidation_id)))


@router.post("/{consolidation_id}/cancel", summary="Stop a consolidation")
async def cancel(consolidation_id: str, core: CoreDep, caller: Operator) -> ConsolidationOut:
    """It ends after the step it is at; what is done stays."""
    return _view(await core.jobs.cancel(_address(caller, consolidation_id)))


def _view(job: Job) -> ConsolidationOut:
    order = from_json(ConsolidateOrder, dict(job.input))
    return ConsolidationOut(
        id=job.address.id,
        state=job.state,
        dry_run=order.dry_run,
        created_at=job.created_at,
        ended_at=job.ended_at,
        report=None if job.output is None else from_json(Consolidation, dict(job.output)),
        error=job.error,
    )


def _address(caller: Identity, consolidation_id: str) -> JobAddress:
    return JobAddress(caller.namespace, CONSOLIDATE, consolidation_id)
