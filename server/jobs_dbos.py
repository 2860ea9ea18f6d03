"""The job engine: DBOS on its own SQLite file or on PostgreSQL, behind the port in `server.jobs`.

What DBOS leaves to its user, and what is done about it here: the application version is pinned, or pending
jobs would never be taken up after an edit; values are JSON, never pickle; the file is put in WAL mode before
launch; finished jobs are pruned; events are written through DBOS streams, so that a reconnect has no gap;
what a dead server left on a shared database is taken over, see `server.jobs_replicas`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from dbos import DBOS, DBOSPortableJSONSerializer, ScheduleInput, SetEnqueueOptions, SetWorkflowID
from dbos._error import DBOSException  # not exported by name

from memory import errors
from memory.types import Json
from server.jobs import Job, JobAddress, JobKind
from server.jobs_calls import address_of, key_of, open_queues, plain, queue_of, resume, told, url_of, use_wal
from server.jobs_mend import Mender
from server.jobs_reading import JobReader
from server.jobs_replicas import Replicas
from server.jobs_run import DbosRun
from server.jobs_turns import Places, Turn

APPLICATION_VERSION = "1"
"""Raised only when the order of recorded steps changes; older unfinished jobs are then not taken up."""

THREADS = 64
PRUNED = 1000
"""Old jobs deleted in one transaction, so that others can write in between."""
_Workflow = Callable[..., Any]


class DbosJobs(JobReader):
    """Durable jobs. DBOS is a singleton: one instance per process.

    Workflows run on the event loop that calls `launch`.
    """

    def __init__(
        self,
        where: Path | str,
        *,
        poll_s: float = 0.1,
        mend_s: float = 5.0,
        replicas: Replicas | None = None,
        here: Callable[[], str | None] = lambda: None,
    ) -> None:
        """`where`: a file of this process alone, or the URL of PostgreSQL, which `replicas` share.

        `here` says where a job is set, as a W3C traceparent; it is kept with the job.
        """
        super().__init__()
        self._where = where
        self._poll_s = poll_s
        self._replicas = replicas
        self._here = here
        self._workflows: dict[str, _Workflow] = {}
        self._places: dict[str, Places] = {}
        self._running: dict[str, asyncio.Task[dict[str, Json]]] = {}
        self._tick: Callable[..., Any] | None = None
        self._mender = Mender(mend_s)
        self._watches: list[asyncio.Task[None]] = []

    async def launch(self, kinds: Mapping[str, JobKind]) -> None:
        """Open the file, take up unfinished jobs. Raises StoreError when the file cannot be used."""
        self._kinds = kinds
        self._places = {name: Places(kind.limit, kind.share) for name, kind in kinds.items()}
        if isinstance(self._where, Path):
            use_wal(self._where)
        if self._replicas is not None:
            # Before any job is ours: what has no server that beats would be nobody's.
            await self._replicas.beat()
        DBOS(
            config={
                "name": "apprentice",
                "system_database_url": url_of(self._where),
                "serializer": DBOSPortableJSONSerializer(),
                "application_version": APPLICATION_VERSION,
                "executor_id": "local" if self._replicas is None else self._replicas.name,
                "log_level": "ERROR",
                "max_executor_threads": THREADS,
                "notification_listener_polling_interval_sec": self._poll_s,
            }
        )
        self._workflows = {kind: DBOS.workflow(name=kind)(self._body()) for kind in kinds}
        self._tick = DBOS.workflow(name="tick")(self._scheduled())
        DBOS.launch()
        await open_queues(kinds, self._poll_s)
        self._watches = [asyncio.create_task(self._mender.run(self._running))]
        if self._replicas is not None:
            self._watches.append(asyncio.create_task(self._replicas.run(self._running)))

    async def close(self) -> None:
        """Stop without waiting; what is unfinished goes on at the next launch."""
        for watch in self._watches:
            watch.cancel()
        running = list(self._running.values())
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        if self._replicas is not None:
            await self._replicas.leave()
        await plain(lambda: DBOS.destroy(destroy_registry=True, workflow_completion_timeout_sec=0))
        # DBOS made its own pool the loop's and has just shut it down.
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor())

    async def start(self, address: JobAddress, arguments: Mapping[str, Json]) -> Job:
        """Start now; an address that exists already is returned as it stands."""
        with told(), SetWorkflowID(key_of(address)):
            await DBOS.start_workflow_async(self._workflows[address.kind], dict(arguments), *self._whence())
        return await self.get(address)

    async def enqueue(self, address: JobAddress, arguments: Mapping[str, Json]) -> Job:
        """Queue; jobs of an ordered kind run one after the other within their namespace."""
        await self._enqueue(address, arguments)
        return await self.get(address)

    async def _enqueue(self, address: JobAddress, arguments: Mapping[str, Json]) -> None:
        queue, partition = queue_of(self._kinds[address.kind], address)
        with told(), SetWorkflowID(key_of(address)), SetEnqueueOptions(queue_partition_key=partition):
            await DBOS.enqueue_workflow_async(
                queue, self._workflows[address.kind], dict(arguments), *self._whence()
            )

    def _whence(self) -> tuple[str, ...]:
        here = self._here()
        return () if here is None else (here,)

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

    def is_running(self, address: JobAddress) -> bool:
        """Is its handler at work in this process?"""
        return key_of(address) in self._running

    async def schedule(self, name: str, kind: str, cron: str) -> None:
        """Run a job of this kind in the namespace `system` whenever `cron` says so (UTC). Raises BadInput."""
        assert self._tick is not None
        wanted: ScheduleInput = {
            "schedule_name": name,
            "workflow_fn": self._tick,
            "schedule": cron,
            "context": kind,
        }
        try:
            # In one statement: servers that share a database start at the same time.
            await DBOS.apply_schedules_async([wanted])
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
            deleted = 0
            while old := DBOS.list_workflows(
                completed_before=before, load_input=False, load_output=False, limit=PRUNED
            ):
                DBOS.delete_workflows([status.workflow_id for status in old])
                deleted += len(old)
            return deleted

        return await plain(delete)

    def _body(self) -> _Workflow:
        async def body(arguments: dict[str, Json], origin: str | None = None) -> dict[str, Json]:
            # The id is asked of the engine: a forked job has another one than it was called with.
            assert DBOS.workflow_id is not None
            return await self._run(address_of(DBOS.workflow_id), arguments, origin)

        return body

    def _scheduled(self) -> Callable[..., Any]:
        async def tick(scheduled_at: datetime, kind: str) -> dict[str, Json]:
            address = JobAddress("system", kind, scheduled_at.isoformat())
            return await self._run(address, {"scheduled_at": scheduled_at.timestamp()})

        return tick

    async def _run(
        self, address: JobAddress, arguments: Mapping[str, Json], origin: str | None = None
    ) -> dict[str, Json]:
        key = key_of(address)
        async with Turn(self._places[address.kind], address.namespace) as turn:
            run = DbosRun(address, self._enqueue, lambda: self._signals.notify(key), turn, origin)
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
