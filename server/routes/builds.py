"""Builds: an agent works a calibration set, a constitution is made of it and frozen, as a job."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter

from server.advising import ADVISE, AdviseOrder, calibration_set, report_of
from server.auth import Identity
from server.deps import After, CoreDep, Limit, Operator, Reader
from server.jobs import Job, JobAddress, json_object
from server.schemas.builds import BuildList, BuildOut, BuildRequest
from server.services import new_id

router = APIRouter(prefix="/v1/constitution/builds", tags=["constitution"])


@router.post("", summary="Build a constitution", status_code=202)
async def start(body: BuildRequest, core: CoreDep, caller: Operator) -> BuildOut:
    """An agent works the tasks without memory; what the builder finds goes on trial and is frozen.

    A task that names the frozen version is served it, of whatever model and site it is.
    """
    model = core.models.resolve(body.model, caller.namespace)
    order = AdviseOrder(
        principal=caller.principal,
        world=body.world,
        sites=tuple(dict.fromkeys(body.sites)),
        tasks=body.tasks,
        builder=body.builder,
        model=model,
        builder_model=core.models.resolve(body.builder_model or model, caller.namespace),
        patterns=tuple(body.patterns),
        shared_only=len(set(body.sites)) > 1 if body.shared_only is None else body.shared_only,
        seed=body.seed,
    )
    await asyncio.to_thread(calibration_set, order, core.worlds)  # refuses what is not there at once
    address = _address(caller, new_id("build"))
    return _view(await core.jobs.enqueue(address, json_object(order)))


@router.get("", summary="Builds, newest first")
async def list_builds(core: CoreDep, caller: Reader, limit: Limit = 20, after: After = None) -> BuildList:
    """One page of this namespace's builds."""
    jobs = await core.jobs.list(caller.namespace, ADVISE, limit=limit + 1, after=after)
    data = [_view(job) for job in jobs[:limit]]
    return BuildList(data=data, next=data[-1].id if len(jobs) > limit else None)


@router.get("/{build_id}", summary="One build")
async def get_build(build_id: str, core: CoreDep, caller: Reader) -> BuildOut:
    """State, and the report once it has ended."""
    return _view(await core.jobs.get(_address(caller, build_id)))


@router.post("/{build_id}/cancel", summary="Stop a build")
async def cancel(build_id: str, core: CoreDep, caller: Operator) -> BuildOut:
    """It ends at once, and nothing is frozen; episodes of tasks that were worked stay."""
    return _view(await core.jobs.cancel(_address(caller, build_id)))


def _view(job: Job) -> BuildOut:
    return BuildOut(
        id=job.address.id,
        state=job.state,
        created_at=job.created_at,
        ended_at=job.ended_at,
        report=report_of(job.output),
        error=job.error,
    )


def _address(caller: Identity, build_id: str) -> JobAddress:
    return JobAddress(caller.namespace, ADVISE, build_id)
