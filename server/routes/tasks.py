"""Tasks: submit, follow, cancel, resume, give feedback."""

from __future__ import annotations

from collections.abc import AsyncIterable
from typing import Annotated

from fastapi import APIRouter, Depends, Header, Query, Response
from fastapi.sse import EventSourceResponse, ServerSentEvent

from memory.codec import from_json
from memory.errors import Conflict, NotFound
from memory.modes import USES, mode_of
from memory.types import Episode, ToolCall
from server.auth import Identity
from server.deps import After, CoreDep, Limit, Reader, ServicesDep, Worker, Writer
from server.feedback import give_feedback
from server.jobs import Job, JobAddress, json_object
from server.orders import TaskOrder
from server.schemas.tasks import ApprovalIn, FeedbackIn, QuestionOut, TaskList, TaskOut, TaskRequest
from server.services import Core
from server.setting import admit, is_same, named, order_of
from server.work import LEARN, LEARNABLE, TASK, TaskResult, episode_id

router = APIRouter(prefix="/v1/tasks", tags=["tasks"])
IdempotencyKey = Annotated[
    str | None,
    Header(
        max_length=200, description="A second request with the same key is answered with the first's task."
    ),
]


async def _existing(task_id: str, core: CoreDep, caller: Reader) -> JobAddress:
    # Checked before a stream begins: after its first byte there is no status to give.
    return (await core.jobs.get(_address(caller, task_id))).address


@router.post("", summary="Set a task", status_code=202, responses={200: {"model": TaskOut}})
async def submit(
    body: TaskRequest,
    response: Response,
    core: CoreDep,
    services: ServicesDep,
    caller: Worker,
    idempotency_key: IdempotencyKey = None,
) -> TaskOut:
    """Durable from the moment it is answered: a crash of the server resumes the task where it was.

    202 with the task as accepted, or 200 once it has come as far as `wait` asks.
    """
    address = JobAddress(caller.namespace, TASK, named("task", idempotency_key))
    order = await order_of(
        body,
        core,
        services.settings,
        caller.namespace,
        principal=caller.principal,
        channel=caller.channel,
        episode=episode_id(address.id),
    )
    if idempotency_key is None or not await _is_there(core, address):
        await admit(core, services.settings, caller.namespace, order)
    arguments = json_object(order)
    job = await core.jobs.start(address, arguments)
    if idempotency_key is not None and not is_same(job.input, arguments):
        raise Conflict(f"Idempotency-Key {idempotency_key!r} was used for another task")
    wait_s = min(body.wait_s, services.settings.max_wait_s)
    if body.wait != "accepted":
        job = await core.jobs.wait(address, timeout_s=wait_s)
    if body.wait == "learned" and _teaches(job):
        await core.jobs.wait(JobAddress(caller.namespace, LEARN, episode_id(address.id)), timeout_s=wait_s)
    task = await view_of(core, job)
    response.status_code = 202 if body.wait == "accepted" or not job.is_ended else 200
    return task


@router.get("", summary="Tasks, newest first")
async def list_tasks(core: CoreDep, caller: Reader, limit: Limit = 50, after: After = None) -> TaskList:
    """One page of this namespace's tasks."""
    jobs = await core.jobs.list(caller.namespace, TASK, limit=limit + 1, after=after)
    data = [await view_of(core, job) for job in jobs[:limit]]
    return TaskList(data=data, next=data[-1].id if len(jobs) > limit else None)


@router.get("/{task_id}", summary="One task")
async def get_task(task_id: str, core: CoreDep, caller: Reader) -> TaskOut:
    """The task as it stands."""
    address = _address(caller, task_id)
    job = await core.jobs.get(address)
    task = await view_of(core, job)
    return task if job.is_ended else task.model_copy(update={"asks": await _asked(core, address)})


@router.post("/{task_id}/approvals/{question}", summary="Allow or refuse a call that a task asks about")
async def approve(
    task_id: str, question: int, body: ApprovalIn, core: CoreDep, caller: Writer
) -> QuestionOut:
    """The first answer counts. Raises Conflict when the task does not ask this, or not any more."""
    address = _address(caller, task_id)
    job, asked = await core.jobs.get(address), await _asked(core, address)
    if job.is_ended or asked is None or asked.question != question:
        now = f"it asks question {asked.question}" if asked and not job.is_ended else "it asks nothing"
        raise Conflict(f"task {task_id!r} does not ask question {question}: {now}")
    await core.jobs.send(address, f"approve {question}", body.approve)
    return asked


@router.get("/{task_id}/events", summary="Follow a task's steps", response_class=EventSourceResponse)
async def events(
    address: Annotated[JobAddress, Depends(_existing)],
    core: CoreDep,
    last_event_id: Annotated[int | None, Header(ge=0, description="Go on behind this event.")] = None,
    start: Annotated[int, Query(ge=0, description="Number of the first event wanted.")] = 0,
) -> AsyncIterable[ServerSentEvent]:
    """Events `start`, `step`, `ask`, `answer`, `end`, then `done`; ids count up without gaps."""
    start = start if last_event_id is None else last_event_id + 1
    async for event in core.jobs.events(address, start=start):
        yield ServerSentEvent(id=str(event.seq), event=event.name, data=event.data)
    yield ServerSentEvent(
        event="done", data=(await view_of(core, await core.jobs.get(address))).model_dump(mode="json")
    )


@router.post("/{task_id}/cancel", summary="Stop a task at once")
async def cancel(task_id: str, core: CoreDep, caller: Writer) -> TaskOut:
    """What it has done is kept as an episode nothing is learned from. An ended task stays as it is."""
    return await view_of(core, await core.jobs.cancel(_address(caller, task_id)))


@router.post("/{task_id}/resume", summary="Go on with a cancelled or failed task")
async def resume(task_id: str, core: CoreDep, caller: Writer) -> TaskOut:
    """From its last recorded step, for example after a full disk has space again."""
    return await view_of(core, await core.jobs.resume(_address(caller, task_id)))


@router.post("/{task_id}/feedback", summary="Say how a task went")
async def feedback(task_id: str, body: FeedbackIn, core: CoreDep, caller: Writer) -> Episode:
    """The same as feedback on the task's episode."""
    job = await core.jobs.get(_address(caller, task_id))
    if not job.is_ended:
        raise Conflict(f"task {task_id!r} is {job.state}; give feedback when it has ended")
    order = from_json(TaskOrder, dict(job.input))
    return await give_feedback(core, caller, episode_id(task_id), body, model=order.model)


async def _is_there(core: Core, address: JobAddress) -> bool:
    try:
        await core.jobs.get(address)
    except NotFound:
        return False
    return True


async def _asked(core: Core, address: JobAddress) -> QuestionOut | None:
    """What the task waits for: nothing else happens in it meanwhile, so that is its newest event."""
    event = await core.jobs.latest_event(address)
    if event is None or event.name != "ask" or not isinstance(event.data, dict):
        return None
    call = from_json(ToolCall, event.data["call"])
    return QuestionOut.model_validate(
        {**event.data, "tool": call.name, "arguments": dict(call.arguments)}, extra="ignore"
    )


async def view_of(core: Core, job: Job) -> TaskOut:
    """A task as it is shown."""
    order = from_json(TaskOrder, dict(job.input))
    result = from_json(TaskResult, dict(job.output)) if job.output is not None else TaskResult()
    learned, learning_error = await _learning(core, job)
    return TaskOut(
        id=job.address.id,
        state=job.state,
        world=order.world,
        family=order.family,
        text=order.text,
        config=dict(order.config),
        model=order.model,
        memory=order.mode,
        seed=order.seed,
        created_at=job.created_at,
        ended_at=job.ended_at,
        episode=episode_id(job.address.id),
        outcome=result.outcome,
        reward=result.reward,
        steps=result.steps,
        usage=result.usage,
        error=job.error or result.error,
        proposed=order.proposed,
        learned=learned,
        learning_error=learning_error,
    )


async def _learning(core: Core, job: Job) -> tuple[bool | None, str | None]:
    if not _teaches(job):
        return None, None
    try:
        learning = await core.jobs.get(JobAddress(job.address.namespace, LEARN, episode_id(job.address.id)))
    except NotFound:
        return None, None  # forgotten by retention; the lessons are in memory
    return learning.state == "done", learning.error


def _teaches(job: Job) -> bool:
    learns = USES[mode_of(str(job.input["memory"]))].learns
    return learns and job.output is not None and job.output["outcome"] in LEARNABLE


def _address(caller: Identity, task_id: str) -> JobAddress:
    return JobAddress(caller.namespace, TASK, task_id)
