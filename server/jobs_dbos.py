"""The job engine: DBOS on its own SQLite file, behind the port in `server.jobs`.

What DBOS leaves to its user, and what is done about it here: the application version is pinned, or pending
jobs would never be taken up after an edit; values are JSON, never pickle; the file is put in WAL mode before
launch; finished jobs are pruned; events are written through DBOS streams, so that a reconnect has no gap.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from dbos import (
    DBOS,
    DBOSPortableJSONSerializer,
    SetEnqueueOptions,
    SetWorkflowID,
)
from dbos._error import DBOSException  # not exported by name

from memory import errors
from memory.types import Json
from server.jobs import Job, JobAddress, JobEvent, JobKind
from server.jobs_calls import (
    address_of,
    job_of,
    key_of,
    newest,
    plain,
    recorded,
    resume,
    told,
    use_wal,
    waiting,
)
from server.jobs_mend import Mender
from server.jobs_run import DbosRun, Turn
from server.jobs_signals import Signals

APPLICATION_VERSION = "1"
"""Raised only when the order of recorded steps changes; older unfinished jobs are then not taken up."""

THREADS = 64
_Workflow = Callable[[dict[str, Json]], Any]


class DbosJobs:
    """Durable jobs on a SQLite file. DBOS is a singleton: one instance per process.

    Workflows run on the event loop that calls `launch`.
    """

    def __init__(self, path: Path, *, poll_s: float = 0.1, mend_s: float = 5.0) -> None:
        self._path = path
        self._poll_s = poll_s
        self._kinds: Mapping[str, JobKind] = {}
        self._workflows: dict[str, _Workflow] = {}
        self._slots: dict[str, asyncio.Semaphore] = {}
        self._running: dict[str, asyncio.Task[dict[str, Json]]] = {}
        self._signals = Signals()
        self._tick: Callable[..., Any] | None = None
        self._mender = Mender(mend_s)
        self._mending: asyncio.Task[None] | None = None

    async def launch(self, kinds: Mapping[str, JobKind]) -> None:
        """Open the file, take up unfinished jobs. Raises StoreError when the file cannot be used."""
        self._kinds = kinds
        self._slots = {name: asyncio.Semaphore(kind.limit) for name, kind in kinds.items()}
        use_wal(self._path)
        DBOS(
            config={
                "name": "apprentice",
                "system_database_url": f"sqlite:///{self._path}",
                "serializer": DBOSPortableJSONSerializer(),
                "application_version": APPLICATION_VERSION,
                "executor_id": "local",
                "log_level": "ERROR",
                "max_executor_threads": THREADS,
                "notification_listener_polling_interval_sec": self._poll_s,
            }
        )
        self._workflows = {kind: DBOS.workflow(name=kind)(self._body()) for kind in kinds}
        self._tick = DBOS.workflow(name="tick")(self._scheduled())
        DBOS.launch()
        for name, kind in kinds.items():
            await DBOS.register_queue_async(
                name,
                worker_concurrency=kind.limit,
                partition_concurrency=1 if kind.ordered else kind.limit,
                polling_interval_sec=self._poll_s,
            )

        self._mending = asyncio.create_task(self._mender.run(self._running))

    async def close(self) -> None:
        """Stop without waiting; what is unfinished goes on at the next launch."""
        if self._mending is not None:
            self._mending.cancel()
        running = list(self._running.values())
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        await plain(lambda: DBOS.destroy(destroy_registry=True, workflow_completion_timeout_sec=0))
        # DBOS made its own pool the loop's and has just shut it down.
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor())

    async def start(self, address: JobAddress, arguments: Mapping[str, Json]) -> Job:
        """Start now; an address that exists already is returned as it stands."""
        with told(), SetWorkflowID(key_of(address)):
            await DBOS.start_workflow_async(self._workflows[address.kind], dict(arguments))
        return await self.get(address)

    async def enqueue(self, address: JobAddress, arguments: Mapping[str, Json]) -> Job:
        """Queue; jobs of an ordered kind run one after the other within their namespace."""
        await self._enqueue(address, arguments)
        return await self.get(address)

    async def _enqueue(self, address: JobAddress, arguments: Mapping[str, Json]) -> None:
        with told(), SetWorkflowID(key_of(address)), SetEnqueueOptions(queue_partition_key=address.namespace):
            await DBOS.enqueue_workflow_async(address.kind, self._workflows[address.kind], dict(arguments))

    async def get(self, address: JobAddress) -> Job:
        """Raises NotFound."""
        status = await plain(lambda: DBOS.get_workflow_status(key_of(address)))
        if status is None:
            raise errors.NotFound(f"there is no {address.kind} {address.id!r} here")
        return job_of(status)

    async def list(
        self, namespace: str, kind: str, *, limit: int, after: str | None = None
    ) -> tuple[Job, ...]:
        """Newest first. `after` is the id of the last job of the page before. Raises NotFound for it."""
        last = None if after is None else await self.get(JobAddress(namespace, kind, after))
        return await newest(f"{namespace}/{kind}/", limit, last)

    async def wait(self, address: JobAddress, *, timeout_s: float) -> Job:
        """Until the job ends or the time is up."""
        deadline = time.monotonic() + timeout_s
        key = key_of(address)
        with self._signals.listen(key) as signal:
            while not (job := await self.get(address)).is_ended:
                left = deadline - time.monotonic()
                if left <= 0:
                    break
                await signal.wait(left)
        return job

    async def send(self, address: JobAddress, topic: str, value: Json) -> None:
        """Answer a job under a topic; a second answer is not heard. Raises NotFound."""
        await self.get(address)
        key = key_of(address)
        await plain(lambda: DBOS.send(key, value, topic, idempotency_key=f"{key}/{topic}"))

    async def cancel(self, address: JobAddress) -> Job:
        """Stop it at once, wherever it is; a job that has ended is left as it is."""
        job = await self.get(address)
        if job.is_ended:
            return job
        await plain(lambda: DBOS.cancel_workflow(key_of(address)))
        if task := self._running.get(key_of(address)):
            task.cancel()
            await asyncio.wait([task], timeout=1.0)
        self._signals.notify(key_of(address))
        return await self.get(address)

    async def resume(self, address: JobAddress) -> Job:
        """Go on from the last good step. Raises NotFound, Conflict."""
        job = await self.get(address)
        if job.state not in {"cancelled", "failed"}:
            raise errors.Conflict(
                f"{address.kind} {address.id!r} is {job.state}; only failed or cancelled ones resume"
            )
        await plain(lambda: resume(key_of(address), failed=job.state == "failed"))
        return await self.get(address)

    async def fork(self, address: JobAddress, new_id: str, *, step: int) -> Job:
        """A new job with the records before `step`. Raises NotFound."""
        await self.get(address)
        target = JobAddress(address.namespace, address.kind, new_id)
        with SetWorkflowID(key_of(target)):
            await DBOS.fork_workflow_async(key_of(address), step)
        return await self.get(target)

    async def events(self, address: JobAddress, *, start: int = 0) -> AsyncIterator[JobEvent]:
        """Events from number `start` on, then live ones, until the job ends. Raises NotFound."""
        key = key_of(address)
        with self._signals.listen(key) as signal:
            while True:
                # Asked before reading: an event published in between is then read in the next round.
                ended = (await self.get(address)).is_ended
                async for event in recorded(key, start):
                    start = event.seq + 1
                    yield event
                if ended:
                    return
                await signal.wait()

    def is_running(self, address: JobAddress) -> bool:
        """Is its handler at work in this process?"""
        return key_of(address) in self._running

    async def latest_event(self, address: JobAddress) -> JobEvent | None:
        """The newest event; None before the first. Raises NotFound."""
        await self.get(address)
        latest = None
        async for event in recorded(key_of(address), 0):
            latest = event
        return latest

    async def backlog(self, namespace: str | None, kind: str) -> int:
        """Jobs of a kind that wait or run."""
        return len(await waiting(namespace, kind))

    async def waiting_since(self, namespace: str, kind: str) -> float | None:
        """When the oldest of them was queued."""
        return min((job.created_at for job in await waiting(namespace, kind)), default=None)

    async def failed(self, kind: str) -> tuple[JobAddress, ...]:
        """Jobs of a kind that failed, in all namespaces."""
        found = await plain(
            lambda: DBOS.list_workflows(
                name=kind,
                status=["ERROR", "MAX_RECOVERY_ATTEMPTS_EXCEEDED"],
                load_input=False,
                load_output=False,
            )
        )
        return tuple(address_of(status.workflow_id) for status in found)

    async def schedule(self, name: str, kind: str, cron: str) -> None:
        """Run a job of this kind in the namespace `system` whenever `cron` says so (UTC). Raises BadInput."""
        if await DBOS.get_schedule_async(name) is not None:
            await DBOS.delete_schedule_async(name)
        assert self._tick is not None
        try:
            await DBOS.create_schedule_async(
                schedule_name=name, workflow_fn=self._tick, schedule=cron, context=kind
            )
        except DBOSException as error:
            raise errors.BadInput(f"the schedule {cron!r} cannot be set: {error}") from error

    async def delete(self, address: JobAddress) -> None:
        """Delete a job that has ended. Raises NotFound, Conflict."""
        if not (await self.get(address)).is_ended:
            raise errors.Conflict(f"{address.kind} {address.id!r} has not ended: cancel it first")
        await plain(lambda: DBOS.delete_workflows([key_of(address)]))

    async def prune(self, *, older_than_s: float) -> int:
        """Delete jobs that ended longer ago; says how many."""
        before = datetime.fromtimestamp(time.time() - older_than_s, UTC).isoformat()

        def delete() -> int:
            old = DBOS.list_workflows(
                completed_before=before, load_input=False, load_output=False, limit=10_000
            )
            DBOS.delete_workflows([status.workflow_id for status in old])
            return len(old)

        return await plain(delete)

    def _body(self) -> _Workflow:
        async def body(arguments: dict[str, Json]) -> dict[str, Json]:
            # The id is asked of the engine: a forked job has another one than it was called with.
            assert DBOS.workflow_id is not None
            return await self._run(address_of(DBOS.workflow_id), arguments)

        return body

    def _scheduled(self) -> Callable[..., Any]:
        async def tick(scheduled_at: datetime, kind: str) -> dict[str, Json]:
            address = JobAddress("system", kind, scheduled_at.isoformat())
            return await self._run(address, {"scheduled_at": scheduled_at.timestamp()})

        return tick

    async def _run(self, address: JobAddress, arguments: Mapping[str, Json]) -> dict[str, Json]:
        key = key_of(address)
        async with Turn(self._slots[address.kind]) as turn:
            run = DbosRun(address, self._enqueue, lambda: self._signals.notify(key), turn)
            task = asyncio.ensure_future(self._kinds[address.kind].handler(run, arguments))
            self._running[key] = task
            try:
                return await task
            except Exception as error:
                self._mender.failed(key, error)
                raise
            finally:
                del self._running[key]
                self._mender.ended(key)
                self._signals.notify(key)
