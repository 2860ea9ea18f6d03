"""Tasks: submit, follow, cancel, resume, give feedback."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncIterable, Mapping
from typing import Annotated

from fastapi import APIRouter, Depends, Header, Query, Response
from fastapi.sse import EventSourceResponse, ServerSentEvent

from agent.automaton.speaking import protocol_of
from agent.deliberate.named import preset_of
from agent.deliberate.presets import PresetName
from agent.guards.files import load_policy
from agent.planners.flow import Flow, in_force
from agent.planners.named import planner_named
from memory.codec import from_json
from memory.errors import Conflict, NotFound
from memory.modes import USES, mode_of
from memory.types import Episode, Json, ToolCall
from server.auth import Identity
from server.deps import After, CoreDep, Limit, Reader, ServicesDep, Worker, Writer
from server.errors import Busy
from server.feedback import give_feedback
from server.jobs import Job, JobAddress, json_object
from server.learning import mode_for
from server.orders import TaskOrder
from server.schemas.tasks import ApprovalIn, FeedbackIn, QuestionOut, TaskList, TaskOut, TaskRequest
from server.services import Core, Services, new_id
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
    address = JobAddress(caller.namespace, TASK, _task_id(idempotency_key))
    order = await _order(body, core, services, caller, episode_id(address.id))
    if (
        USES[order.mode].learns
        and await core.jobs.backlog(caller.namespace, LEARN) >= services.settings.max_learning_backlog
    ):
        raise Busy("too many episodes of this namespace wait to be learned from; try again later")
    arguments = json_object(order)
    job = await core.jobs.start(address, arguments)
    if idempotency_key is not None and not _is_same(job.input, arguments):
        raise Conflict(f"Idempotency-Key {idempotency_key!r} was used for another task")
    wait_s = min(body.wait_s, services.settings.max_wait_s)
    if body.wait != "accepted":
        job = await core.jobs.wait(address, timeout_s=wait_s)
    if body.wait == "learned" and _teaches(job):
        await core.jobs.wait(JobAddress(caller.namespace, LEARN, episode_id(address.id)), timeout_s=wait_s)
    task = await _view(core, job)
    response.status_code = 202 if body.wait == "accepted" or not job.is_ended else 200
    return task


@router.get("", summary="Tasks, newest first")
async def list_tasks(core: CoreDep, caller: Reader, limit: Limit = 50, after: After = None) -> TaskList:
    """One page of this namespace's tasks."""
    jobs = await core.jobs.list(caller.namespace, TASK, limit=limit + 1, after=after)
    data = [await _view(core, job) for job in jobs[:limit]]
    return TaskList(data=data, next=data[-1].id if len(jobs) > limit else None)


@router.get("/{task_id}", summary="One task")
async def get_task(task_id: str, core: CoreDep, caller: Reader) -> TaskOut:
    """The task as it stands."""
    address = _address(caller, task_id)
    job = await core.jobs.get(address)
    task = await _view(core, job)
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
        event="done", data=(await _view(core, await core.jobs.get(address))).model_dump(mode="json")
    )


@router.post("/{task_id}/cancel", summary="Stop a task at once")
async def cancel(task_id: str, core: CoreDep, caller: Writer) -> TaskOut:
    """What it has done is kept as an episode nothing is learned from. An ended task stays as it is."""
    return await _view(core, await core.jobs.cancel(_address(caller, task_id)))


@router.post("/{task_id}/resume", summary="Go on with a cancelled or failed task")
async def resume(task_id: str, core: CoreDep, caller: Writer) -> TaskOut:
    """From its last recorded step, for example after a full disk has space again."""
    return await _view(core, await core.jobs.resume(_address(caller, task_id)))


@router.post("/{task_id}/feedback", summary="Say how a task went")
async def feedback(task_id: str, body: FeedbackIn, core: CoreDep, caller: Writer) -> Episode:
    """The same as feedback on the task's episode."""
    job = await core.jobs.get(_address(caller, task_id))
    if not job.is_ended:
        raise Conflict(f"task {task_id!r} is {job.state}; give feedback when it has ended")
    order = from_json(TaskOrder, dict(job.input))
    return await give_feedback(core, caller, episode_id(task_id), body, model=order.model)


async def _asked(core: Core, address: JobAddress) -> QuestionOut | None:
    """What the task waits for: nothing else happens in it meanwhile, so that is its newest event."""
    event = await core.jobs.latest_event(address)
    if event is None or event.name != "ask" or not isinstance(event.data, dict):
        return None
    call = from_json(ToolCall, event.data["call"])
    return QuestionOut.model_validate(
        {**event.data, "tool": call.name, "arguments": dict(call.arguments)}, extra="ignore"
    )


async def _order(
    body: TaskRequest, core: Core, services: Services, caller: Identity, episode: str
) -> TaskOrder:
    if body.site is not None:
        drawn = await asyncio.to_thread(
            core.worlds.catalogue(body.world).tasks, site=body.site, split="work", n=1, seed=body.seed
        )
        config: dict[str, Json] = dict(drawn[0].config)
    elif body.text is not None:
        config = {"text": body.text, "family": body.family}
        if body.mcp is not None:
            config["mcp"] = [*body.mcp]
    else:
        config = body.config or {}
    task = core.worlds.task(body.world, config)  # refuses what is no task before anything is stored
    if body.constitution is not None:
        named = (caller.namespace, body.constitution)
        await asyncio.to_thread(core.memory.frozen, *named, token_budget=0, count_tokens=len)
    core.worlds.check(task, caller.namespace)
    deliberate = _checked_ways(body)
    await _check_planner(body, core, caller)
    mode = await mode_for(core, services.settings, caller.namespace, body.memory)
    await asyncio.to_thread(core.suites.check, caller.namespace, task.id, mode)
    return TaskOrder(
        world=task.world,
        family=task.family,
        text=task.text,
        config=dict(task.config),
        model=core.models.resolve(body.model, caller.namespace, episode),
        memory=mode,
        budget=body.budget.to_budget(max_seconds=services.settings.max_task_s),
        seed=body.seed,
        principal=caller.principal,
        channel=caller.channel,
        asked_memory=body.memory,
        constitution=body.constitution,
        planner=body.planner,
        policy=body.policy,
        deliberate=deliberate,
        speaking=body.speaking,
    )


async def _check_planner(body: TaskRequest, core: Core, caller: Identity) -> None:
    """Raises BadInput on a planner that is none, NotFound on a flow that is not there."""
    planner = None if body.planner is None else planner_named(body.planner)
    if isinstance(planner, Flow) and planner.item is not None:
        await asyncio.to_thread(in_force, core.memory, caller.namespace, planner.item)


def _checked_ways(body: TaskRequest) -> PresetName | None:
    """How the request wants its answer thought about. Raises BadInput on policies and ways that are none."""
    if body.policy is not None:
        load_policy(body.policy)
    if body.speaking is not None:
        protocol_of(body.speaking)
    return None if body.deliberate is None else preset_of(body.deliberate)


async def _view(core: Core, job: Job) -> TaskOut:
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


def _is_same(stored: Mapping[str, Json], asked: Mapping[str, Json]) -> bool:
    # Another key of the namespace may ask again, also when its dial has been turned meanwhile.
    names = set(asked) - {"principal", "channel", "memory", "held", "depth"}
    return all(stored.get(name) == asked[name] for name in names)


def _teaches(job: Job) -> bool:
    learns = USES[mode_of(str(job.input["memory"]))].learns
    return learns and job.output is not None and job.output["outcome"] in LEARNABLE


def _address(caller: Identity, task_id: str) -> JobAddress:
    return JobAddress(caller.namespace, TASK, task_id)


def _task_id(idempotency_key: str | None) -> str:
    if idempotency_key is None:
        return new_id("task")
    return f"task_{hashlib.sha256(json.dumps(idempotency_key).encode()).hexdigest()[:23]}"
