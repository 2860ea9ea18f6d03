"""Schedules: tasks that are set again and again, by the clock."""

from __future__ import annotations

from fastapi import APIRouter, Response

from server.deps import CoreDep, Reader, ServicesDep, Worker, Writer
from server.schedules import Schedule
from server.schemas.schedules import ScheduleList, ScheduleOut, ScheduleRequest
from server.setting import order_of

router = APIRouter(prefix="/v1/schedules", tags=["tasks"])


@router.post("", summary="Set a task again and again", status_code=201)
async def create(body: ScheduleRequest, core: CoreDep, services: ServicesDep, caller: Worker) -> ScheduleOut:
    """Each time sets one task, also where several servers share the jobs or one is started again. The task is
    checked now and at every firing.
    """
    await order_of(
        body.task,
        core,
        services.settings,
        caller.namespace,
        principal=caller.principal,
        channel=caller.channel,
        episode="ep_scheduled",
    )
    schedule = await core.schedules.create(
        caller.namespace,
        cron=body.cron,
        zone=body.time_zone,
        task=body.task.model_dump(mode="json", exclude_unset=True),
        missed=body.missed,
        label=body.label,
        principal=caller.principal,
        channel=caller.channel,
    )
    return _view(schedule)


@router.get("", summary="Schedules")
async def list_schedules(core: CoreDep, caller: Reader) -> ScheduleList:
    """Of this namespace, oldest first."""
    return ScheduleList(data=[_view(one) for one in await core.schedules.all(caller.namespace)])


@router.get("/{schedule_id}", summary="One schedule")
async def get_schedule(schedule_id: str, core: CoreDep, caller: Reader) -> ScheduleOut:
    """When it fires next, and what came of the last time."""
    return _view(await core.schedules.get(caller.namespace, schedule_id))


@router.post("/{schedule_id}/pause", summary="Stop a schedule for now")
async def pause(schedule_id: str, core: CoreDep, caller: Writer) -> ScheduleOut:
    """Times that come meanwhile are not made up for."""
    return _view(await core.schedules.pause(caller.namespace, schedule_id, paused=True))


@router.post("/{schedule_id}/resume", summary="Let a schedule go on")
async def resume(schedule_id: str, core: CoreDep, caller: Writer) -> ScheduleOut:
    """From the next time on."""
    return _view(await core.schedules.pause(caller.namespace, schedule_id, paused=False))


@router.delete("/{schedule_id}", summary="Delete a schedule", status_code=204)
async def delete(schedule_id: str, core: CoreDep, caller: Writer) -> Response:
    """Tasks that it has set stay."""
    await core.schedules.delete(caller.namespace, schedule_id)
    return Response(status_code=204)


def _view(schedule: Schedule) -> ScheduleOut:
    return ScheduleOut(
        id=schedule.id,
        label=schedule.label,
        cron=schedule.cron,
        time_zone=schedule.zone,
        task=dict(schedule.task),
        missed=schedule.missed,
        paused=schedule.paused,
        created_at=schedule.created_at,
        next_at=schedule.next(),
        last_at=schedule.last_at,
        last_task=schedule.last_task,
        last_error=schedule.last_error,
    )
