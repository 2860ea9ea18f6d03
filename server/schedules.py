"""Schedules: tasks that are set again and again, by the clock. No HTTP here.

A firing is a task whose id is made of the schedule's and the time that came due: two servers, or one that
died between setting a task and noting so, set it once. A clock that is put back fires nothing again.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

from memory.codec import from_json
from memory.errors import ApprenticeError, NotFound, OverQuota
from memory.types import Channel, Json
from server.calendar import check_cron, due_times, next_time
from server.jobs import JobAddress, json_object
from server.naming import digest
from server.schemas.tasks import TaskRequest
from server.services import Core
from server.setting import admit, order_of
from server.settings import Settings
from server.shelf import Document, Shelf
from server.work import TASK, episode_id

log = logging.getLogger("apprentice.jobs")
Missed = Literal["skip", "last", "all"]
LATE_S = 60.0
"""A firing that is noticed later than this was missed."""
LOOK_EVERY_S = 20.0
"""Schedules that other servers made or changed are seen this late at most."""
_KIND = "schedule"


@dataclass(frozen=True, slots=True)
class Schedule:
    """What is set, and when."""

    id: str
    label: str
    cron: str
    zone: str
    task: dict[str, Json]
    """As sent to `POST /v1/tasks`."""
    missed: Missed
    """What becomes of times at which no server ran: none, the newest, or all of them."""
    principal: str
    channel: Channel
    created_at: float
    after: float
    """Times up to here are done with."""
    paused: bool = False
    last_at: float | None = None
    last_task: str | None = None
    last_error: str | None = None
    """Why the newest firing set no task."""

    def due(self, now: float) -> tuple[float, ...]:
        """Times that are to fire now."""
        times = () if self.paused else due_times(self.cron, self.zone, self.after, now)
        late = tuple(at for at in times if now - at > LATE_S)
        kept = {"skip": (), "last": late[-1:], "all": late}[self.missed]
        return (*kept, *times[len(late) :])

    def next(self) -> float | None:
        """When it comes due next; None while it is paused."""
        return None if self.paused else next_time(self.cron, self.zone, self.after)


class Schedules:
    """The schedules of all namespaces."""

    def __init__(self, shelf: Shelf, *, most: int, clock: Callable[[], float]) -> None:
        self._shelf = shelf
        self._most = most
        self._clock = clock
        self._news = asyncio.Event()
        self._firing: asyncio.Task[None] | None = None

    async def create(
        self,
        namespace: str,
        *,
        cron: str,
        zone: str,
        task: dict[str, Json],
        missed: Missed,
        label: str,
        principal: str,
        channel: Channel,
    ) -> Schedule:
        """A new one, from now on. Raises BadInput, OverQuota."""
        check_cron(cron, zone)
        if len(await self.all(namespace)) >= self._most:
            raise OverQuota(
                f"the namespace has {self._most} schedules: delete one (APPRENTICE_MAX_SCHEDULES)"
            )
        now = self._clock()
        schedule = Schedule(
            f"sched_{secrets.token_hex(12)}", label, cron, zone, task, missed, principal, channel, now, now
        )
        await self._shelf.put(namespace, _KIND, schedule.id, json_object(schedule))
        self._news.set()
        return schedule

    async def all(self, namespace: str) -> list[Schedule]:
        """Oldest first."""
        return [_schedule(row) for _, _, row in await self._shelf.all(_KIND, namespace)]

    async def get(self, namespace: str, schedule_id: str) -> Schedule:
        """Raises NotFound."""
        return _schedule(await self._shelf.get(namespace, _KIND, schedule_id))

    async def delete(self, namespace: str, schedule_id: str) -> None:
        """Tasks that it has set go on. Raises NotFound."""
        await self._shelf.remove(namespace, _KIND, schedule_id)

    async def pause(self, namespace: str, schedule_id: str, *, paused: bool) -> Schedule:
        """What comes due while it is paused is not missed, it is not wanted. Raises NotFound."""
        now = self._clock()

        def turn(schedule: Schedule) -> Schedule:
            after = max(schedule.after, now) if schedule.paused else schedule.after
            return replace(schedule, paused=paused, after=after)

        changed = await self._change(namespace, schedule_id, turn)
        self._news.set()
        return changed

    async def fire(self, core: Core, settings: Settings) -> float | None:
        """Set what is due in all namespaces; when the next comes due. Raises StoreError."""
        now, soonest = self._clock(), None
        for namespace, _, row in await self._shelf.all(_KIND):
            schedule = _schedule(row)
            times = schedule.due(now)
            for at in times:
                await self._fire_one(core, settings, namespace, schedule, at)
            if not times and not schedule.paused and schedule.missed == "skip":
                # Times that are skipped are not looked at again and again.
                times = due_times(schedule.cron, schedule.zone, schedule.after, now)[-1:]
            if times:
                schedule = replace(schedule, after=times[-1])
                await self._done_with(namespace, schedule)
            if (coming := schedule.next()) is not None:
                soonest = coming if soonest is None else min(soonest, coming)
        return soonest

    def start(self, core: Core, settings: Settings) -> None:
        """Fire what comes due, until `close`."""
        self._firing = asyncio.create_task(self._run(core, settings))

    async def close(self) -> None:
        """Fire nothing more."""
        if self._firing is not None:
            self._firing.cancel()
            await asyncio.wait([self._firing])

    async def _run(self, core: Core, settings: Settings) -> None:
        while True:
            self._news.clear()
            soonest = None
            try:
                soonest = await self.fire(core, settings)
            except Exception as error:  # noqa: BLE001 - the database may be gone for a moment: look again
                log.warning("schedules cannot be looked at: %s", error)
            # Short enough that a clock that is put forward is noticed.
            wait_s = LOOK_EVERY_S if soonest is None else min(LOOK_EVERY_S, soonest - self._clock())
            try:
                await asyncio.wait_for(self._news.wait(), max(0.01, wait_s))
            except TimeoutError:
                continue

    async def _fire_one(
        self, core: Core, settings: Settings, namespace: str, schedule: Schedule, at: float
    ) -> None:
        """Set the task of one time, once; what refuses it is told with the schedule."""
        address = JobAddress(namespace, TASK, f"task_{digest(schedule.id, int(at))}")
        error = None
        try:
            order = await order_of(
                TaskRequest.model_validate(schedule.task),
                core,
                settings,
                namespace,
                principal=schedule.principal,
                channel=schedule.channel,
                episode=episode_id(address.id),
            )
            await admit(core, settings, namespace, order)
            await core.jobs.start(address, json_object(order))
        except (ApprenticeError, ValueError) as refused:
            error = str(refused)
            log.warning("schedule %s set no task: %s", schedule.id, refused)

        def note(now: Schedule) -> Schedule:
            task = address.id if error is None else None
            return replace(now, after=max(now.after, at), last_at=at, last_task=task, last_error=error)

        await self._if_there(namespace, schedule.id, note)

    async def _done_with(self, namespace: str, schedule: Schedule) -> None:
        await self._if_there(
            namespace, schedule.id, lambda now: replace(now, after=max(now.after, schedule.after))
        )

    async def _if_there(self, namespace: str, schedule_id: str, how: Callable[[Schedule], Schedule]) -> None:
        try:
            await self._change(namespace, schedule_id, how)
        except NotFound:
            log.info("schedule %s was deleted while it fired", schedule_id)

    async def _change(
        self, namespace: str, schedule_id: str, how: Callable[[Schedule], Schedule]
    ) -> Schedule:
        row = await self._shelf.change(
            namespace, _KIND, schedule_id, lambda row: json_object(how(_schedule(row)))
        )
        return _schedule(row)


def _schedule(row: Document) -> Schedule:
    return from_json(Schedule, dict(row))
