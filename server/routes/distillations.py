"""Distillations: turn memory into weights, offline, and let the gate decide."""

from __future__ import annotations

from collections.abc import AsyncIterable
from typing import Annotated

from fastapi import APIRouter, Depends, Header
from fastapi.sse import EventSourceResponse, ServerSentEvent

from memory.codec import from_json
from memory.errors import BadInput
from server.auth import Identity
from server.deps import After, CoreDep, Limit, Operator, Reader
from server.distilling import DISTILL, DistillOrder
from server.errors import UnknownModel
from server.jobs import Job, JobAddress, json_object
from server.ordering import suites_for
from server.schemas.distill import DistillationList, DistillationOut, DistillRequest, ProgressOut
from server.services import Core, new_id

router = APIRouter(prefix="/v1/distillations", tags=["distillations"])


async def _existing(distillation_id: str, core: CoreDep, caller: Reader) -> JobAddress:
    # Checked before a stream begins: after its first byte there is no status to give.
    return (await core.jobs.get(_address(caller, distillation_id))).address


@router.post("", summary="Distil this namespace's memory", status_code=202)
async def start(body: DistillRequest, core: CoreDep, caller: Operator) -> DistillationOut:
    """Exports the memory, builds a dataset, trains an adapter, compares four arms; in its own process.

    A dry run ends with the dataset: its report says what is kept, masked and rejected, and why.
    """
    for suite in body.suites:
        core.worlds.catalogue(suite.world).tasks(site=suite.site, split=suite.split, n=suite.n)
    seeds = tuple(body.seeds)
    suites = suites_for(core.suites, caller.namespace, [(suite.suite(), seeds) for suite in body.suites])
    if not suites and not body.dry_run:
        raise BadInput("there is nothing to judge the adapter on: give `suites`, or declare some")
    base = core.models.resolve(body.base, caller.namespace)
    if not base.startswith("local:") or "+" in base:
        raise UnknownModel(f"{base!r} cannot be distilled into; name a `local:` model without an adapter")
    order = DistillOrder(
        recipe=body.recipe,
        base=base.removeprefix("local:"),
        suites=suites,
        seed=body.seed,
        seeds=seeds,
        train=dict(body.train),
        promote=body.promote,
        proposer=caller.principal,
        dry_run=body.dry_run,
    )
    address = JobAddress(caller.namespace, DISTILL, new_id("distill"))
    return await _view(core, await core.jobs.enqueue(address, json_object(order)))


@router.get("", summary="Distillations, newest first")
async def list_distillations(
    core: CoreDep, caller: Reader, limit: Limit = 20, after: After = None
) -> DistillationList:
    """One page of this namespace's distillations."""
    jobs = await core.jobs.list(caller.namespace, DISTILL, limit=limit + 1, after=after)
    data = [await _view(core, job) for job in jobs[:limit]]
    return DistillationList(data=data, next=data[-1].id if len(jobs) > limit else None)


@router.get("/{distillation_id}", summary="One distillation")
async def get_distillation(distillation_id: str, core: CoreDep, caller: Reader) -> DistillationOut:
    """State, latest progress, and the report once it has ended."""
    return await _view(core, await core.jobs.get(_address(caller, distillation_id)))


@router.get("/{distillation_id}/events", summary="Follow the progress", response_class=EventSourceResponse)
async def events(
    address: Annotated[JobAddress, Depends(_existing)],
    core: CoreDep,
    last_event_id: Annotated[int | None, Header(ge=0, description="Go on behind this event.")] = None,
) -> AsyncIterable[ServerSentEvent]:
    """Server-sent events `progress`, then `done`."""
    start = 0 if last_event_id is None else last_event_id + 1
    async for event in core.jobs.events(address, start=start):
        yield ServerSentEvent(id=str(event.seq), event=event.name, data=event.data)
    done = await _view(core, await core.jobs.get(address))
    yield ServerSentEvent(event="done", data=done.model_dump(mode="json"))


@router.post("/{distillation_id}/cancel", summary="Stop a distillation")
async def cancel(distillation_id: str, core: CoreDep, caller: Operator) -> DistillationOut:
    """The process is asked to end; no adapter is registered after this."""
    return await _view(core, await core.jobs.cancel(_address(caller, distillation_id)))


async def _view(core: Core, job: Job) -> DistillationOut:
    order = from_json(DistillOrder, dict(job.input))
    return DistillationOut(
        id=job.address.id,
        state=job.state,
        recipe=order.recipe,
        base=f"local:{order.base}",
        proposer=order.proposer,
        rebuilds=order.rebuilds,
        created_at=job.created_at,
        ended_at=job.ended_at,
        progress=await _latest(core, job),
        report=dict(job.output) if job.output is not None else None,
        error=job.error,
    )


async def _latest(core: Core, job: Job) -> ProgressOut | None:
    latest = await core.jobs.latest_event(job.address)
    return None if latest is None else ProgressOut.model_validate(latest.data)


def _address(caller: Identity, distillation_id: str) -> JobAddress:
    return JobAddress(caller.namespace, DISTILL, distillation_id)
