"""Batches: many tasks in one request, followed as one.

Chats have none: a conversation answers whoever waits for it, and a model's own batch service does what
OpenAI's batch files do, at its price. What is worth queueing here is work that learns: tasks.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Depends
from fastapi.responses import StreamingResponse

from memory.codec import from_json
from memory.errors import ApprenticeError, BadInput, Conflict, NotFound, TooLarge
from server.announcing import BATCH
from server.batches import BatchOrder, cancel_batch, tally, task_at
from server.deps import After, CoreDep, Limit, Reader, ServicesDep, Worker, Writer
from server.errors import shape_of
from server.jobs import Job, JobAddress, json_object
from server.orders import TaskOrder
from server.routes.tasks import IdempotencyKey, view_of
from server.schemas.batches import BatchList, BatchOut, BatchRequest
from server.services import Core
from server.setting import admit, is_same, named, order_of
from server.work import episode_id

router = APIRouter(prefix="/v1/batches", tags=["tasks"])
MOST_TOLD = 20
"""Refused entries that an answer names."""


async def _existing(batch_id: str, core: CoreDep, caller: Reader) -> Job:
    return await core.jobs.get(JobAddress(caller.namespace, BATCH, batch_id))


@router.post("", summary="Set many tasks", status_code=202)
async def submit(
    body: BatchRequest,
    core: CoreDep,
    services: ServicesDep,
    caller: Worker,
    idempotency_key: IdempotencyKey = None,
) -> BatchOut:
    """Durable from the moment it is answered. Where an entry is refused nothing is set, and the answer names
    each refused entry with its reason.
    """
    if len(body.tasks) > services.settings.max_batch:
        most = services.settings.max_batch
        raise TooLarge(f"a batch has at most {most} tasks, not {len(body.tasks)} (APPRENTICE_MAX_BATCH)")
    address = JobAddress(caller.namespace, BATCH, named("batch", idempotency_key))
    orders, refused = list[TaskOrder](), list[str]()
    for place, task in enumerate(body.tasks):
        try:
            order = await order_of(
                task,
                core,
                services.settings,
                caller.namespace,
                principal=caller.principal,
                channel=caller.channel,
                episode=episode_id(task_at(address, place).id),
            )
            orders.append(order)
        except ApprenticeError as error:
            if shape_of(error).status >= 500:
                raise
            refused.append(f"tasks.{place}: {error}")
    if refused:
        more = f"\nand {len(refused) - MOST_TOLD} more" if len(refused) > MOST_TOLD else ""
        told = "\n".join(refused[:MOST_TOLD])
        raise BadInput(
            f"{len(refused)} of {len(body.tasks)} tasks are refused, so none is set:\n{told}{more}"
        )
    if idempotency_key is None or not await _is_there(core, address):
        await admit(core, services.settings, caller.namespace, *orders)
    batch = BatchOrder(caller.principal, body.label, tuple(map(json_object, orders)))
    job = await core.jobs.start(address, json_object(batch))
    if idempotency_key is not None and not _is_same(job, batch):
        raise Conflict(f"Idempotency-Key {idempotency_key!r} was used for another batch")
    return await _view(core, job)


@router.get("", summary="Batches, newest first")
async def list_batches(core: CoreDep, caller: Reader, limit: Limit = 20, after: After = None) -> BatchList:
    """One page of this namespace's batches."""
    jobs = await core.jobs.list(caller.namespace, BATCH, limit=limit + 1, after=after)
    data = [await _view(core, job) for job in jobs[:limit]]
    return BatchList(data=data, next=data[-1].id if len(jobs) > limit else None)


@router.get("/{batch_id}", summary="One batch")
async def get_batch(batch_id: str, core: CoreDep, caller: Reader) -> BatchOut:
    """How many of its tasks wait, run and have ended."""
    return await _view(core, await core.jobs.get(JobAddress(caller.namespace, BATCH, batch_id)))


@router.post("/{batch_id}/cancel", summary="Stop a batch")
async def cancel(batch_id: str, core: CoreDep, caller: Writer) -> BatchOut:
    """Its tasks that go on are stopped; those that have ended stay as they are."""
    return await _view(core, await cancel_batch(core, JobAddress(caller.namespace, BATCH, batch_id)))


@router.get("/{batch_id}/results", summary="What came of a batch, as JSONL", response_class=StreamingResponse)
async def results(job: Annotated[Job, Depends(_existing)], core: CoreDep) -> StreamingResponse:
    """One line a task, in the order they were sent: `{"index": 0, "task": {…}}`, as each stands now; `task`
    is null for one that was never queued.
    """

    async def lines() -> AsyncIterator[str]:
        for place in range(_total(job)):
            try:
                task = await view_of(core, await core.jobs.get(task_at(job.address, place)))
            except NotFound:
                yield json.dumps({"index": place, "task": None}) + "\n"
                continue
            yield json.dumps({"index": place, "task": task.model_dump(mode="json")}) + "\n"

    return StreamingResponse(lines(), media_type="application/jsonl")


async def _is_there(core: Core, address: JobAddress) -> bool:
    try:
        await core.jobs.get(address)
    except NotFound:
        return False
    return True


def _is_same(job: Job, asked: BatchOrder) -> bool:
    stored = from_json(BatchOrder, dict(job.input)).orders
    return len(stored) == len(asked.orders) and all(map(is_same, stored, asked.orders))


def _total(job: Job) -> int:
    orders = job.input["orders"]
    assert isinstance(orders, list)
    return len(orders)


async def _view(core: Core, job: Job) -> BatchOut:
    total, counts = _total(job), dict(await tally(core.jobs, job.address))
    if not job.is_ended and (missing := total - sum(counts.values())):
        counts["queued"] = counts.get("queued", 0) + missing
    return BatchOut(
        id=job.address.id,
        label=str(job.input["label"]),
        state=job.state,
        total=total,
        counts=counts,
        created_at=job.created_at,
        ended_at=job.ended_at,
        error=job.error,
    )
