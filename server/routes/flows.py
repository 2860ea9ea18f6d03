"""Flows: programs that planner `flow` follows, improved by what they score, as a job."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter

from agent.planners.program import parse
from server.auth import Identity
from server.deps import CoreDep, Operator, Reader
from server.flowing import FLOW, FlowOrder, report_of, tasks_of
from server.jobs import Job, JobAddress, json_object
from server.schemas.flows import FlowOut, FlowRequest
from server.services import new_id

router = APIRouter(prefix="/v1/flows/improvements", tags=["tasks"])


@router.post("", summary="Improve the flow of a site's tasks", status_code=202)
async def start(body: FlowRequest, core: CoreDep, caller: Operator) -> FlowOut:
    """A model writes programs, each is tried on tasks without memory and told its score; the best is kept as
    an item of kind `flow` if it does more than the first on tasks that had no part in it.
    """
    if body.first is not None:
        parse(body.first)
    order = FlowOrder(
        principal=caller.principal,
        world=body.world,
        site=body.site,
        goal=body.goal,
        model=core.models.resolve(body.model, caller.namespace),
        tasks=body.tasks,
        held_out=body.held_out,
        epochs=body.epochs,
        first=body.first,
        seed=body.seed,
    )
    await asyncio.to_thread(tasks_of, order, core.worlds)  # refuses what is not there at once
    return _view(await core.jobs.enqueue(_address(caller, new_id("flow")), json_object(order)))


@router.get("/{improvement_id}", summary="One improvement")
async def get_improvement(improvement_id: str, core: CoreDep, caller: Reader) -> FlowOut:
    """State, and the report once it has ended."""
    return _view(await core.jobs.get(_address(caller, improvement_id)))


@router.post("/{improvement_id}/cancel", summary="Stop an improvement")
async def cancel(improvement_id: str, core: CoreDep, caller: Operator) -> FlowOut:
    """It ends at once, and nothing is kept."""
    return _view(await core.jobs.cancel(_address(caller, improvement_id)))


def _view(job: Job) -> FlowOut:
    return FlowOut(
        id=job.address.id,
        state=job.state,
        created_at=job.created_at,
        ended_at=job.ended_at,
        report=report_of(job.output),
        error=job.error,
    )


def _address(caller: Identity, improvement_id: str) -> JobAddress:
    return JobAddress(caller.namespace, FLOW, improvement_id)
