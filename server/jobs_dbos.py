"""The job engine: DBOS on its own SQLite file, behind the port in `server.jobs`.

What DBOS leaves to its user, and what is done about it here: the application version is pinned, or pending
jobs would never be taken up after an edit; values are JSON, never pickle; the file is put in WAL mode before
launch; finished jobs are pruned; events are written through DBOS streams, so that a reconnect has no gap.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import sqlite3
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from dbos import (
    DBOS,
    DBOSPortableJSONSerializer,
    PortableWorkflowError,
    SetEnqueueOptions,
    SetWorkflowID,
    WorkflowStatus,
)
from dbos._error import DBOSStreamTimeoutError, DBOSWorkflowCancelledError

from memory import errors
from memory.types import Json
from server.jobs import Job, JobAddress, JobEvent, JobKind, JobRun, JobState

APPLICATION_VERSION = "1"
"""Raised only when the order of recorded steps changes; older unfinished jobs are then not taken up."""
EVENTS = "events"
IDLE_POLL_S = 2.0
ENDING_POLL_S = 0.02

_STATES: Mapping[str, JobState] = {
    "ENQUEUED": "queued",
    "DELAYED": "queued",
    "PENDING": "running",
    "SUCCESS": "done",
    "ERROR": "failed",
    "MAX_RECOVERY_ATTEMPTS_EXCEEDED": "failed",
    "CANCELLED": "cancelled",
}
_T = TypeVar("_T")
_Workflow = Callable[[dict[str, Json]], Any]


class DbosJobs:
    """Durable jobs on a SQLite file. DBOS is a singleton: one instance per process.

    Workflows run on the event loop that calls `launch`.
    """

    def __init__(self, path: Path, *, poll_s: float = 0.1, max_threads: int = 64) -> None:
        self._path = path
        self._poll_s = poll_s
        self._max_threads = max_threads
        self._kinds: Mapping[str, JobKind] = {}
        self._workflows: dict[str, _Workflow] = {}
        self._slots: dict[str, asyncio.Semaphore] = {}
        self._running: dict[str, asyncio.Task[dict[str, Json]]] = {}
        self._signals = _Signals()
        self._tick: Callable[..., Any] | None = None

    async def launch(self, kinds: Mapping[str, JobKind]) -> None:
        """Open the file, take up unfinished jobs. Raises StoreError when the file cannot be used."""
        self._kinds = kinds
        self._slots = {name: asyncio.Semaphore(kind.limit) for name, kind in kinds.items()}
        _use_wal(self._path)
        DBOS(
            config={
                "name": "apprentice",
                "system_database_url": f"sqlite:///{self._path}",
                "serializer": DBOSPortableJSONSerializer(),
                "application_version": APPLICATION_VERSION,
                "executor_id": "local",
                "log_level": "ERROR",
                "max_executor_threads": self._max_threads,
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

    async def close(self) -> None:
        """Stop without waiting; what is unfinished goes on at the next launch."""
        running = list(self._running.values())
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        await _plain(lambda: DBOS.destroy(workflow_completion_timeout_sec=0))

    async def start(self, address: JobAddress, arguments: Mapping[str, Json]) -> Job:
        """Start now; an address that exists already is returned as it stands."""
        with SetWorkflowID(_key(address)):
            await DBOS.start_workflow_async(self._workflows[address.kind], dict(arguments))
        return await self.get(address)

    async def enqueue(self, address: JobAddress, arguments: Mapping[str, Json]) -> Job:
        """Queue; jobs of an ordered kind run one after the other within their namespace."""
        await self._enqueue(address, arguments)
        return await self.get(address)

    async def _enqueue(self, address: JobAddress, arguments: Mapping[str, Json]) -> None:
        with SetWorkflowID(_key(address)), SetEnqueueOptions(queue_partition_key=address.namespace):
            await DBOS.enqueue_workflow_async(address.kind, self._workflows[address.kind], dict(arguments))

    async def get(self, address: JobAddress) -> Job:
        """Raises NotFound."""
        status = await DBOS.get_workflow_status_async(_key(address))
        if status is None:
            raise errors.NotFound(f"there is no {address.kind} {address.id!r} here")
        return _job(status)

    async def list(self, namespace: str, kind: str, *, limit: int, after: str | None = None) -> tuple[Job, ...]:
        """Newest first. `after` is the id of the last job of the page before. Raises NotFound for it."""
        end_time = None
        if after is not None:
            last = await self.get(JobAddress(namespace, kind, after))
            end_time = datetime.fromtimestamp(last.created_at, UTC).isoformat()
        found: list[Job] = []
        skipping, offset = after is not None, 0
        while len(found) < limit:
            page = await DBOS.list_workflows_async(
                workflow_id_prefix=f"{namespace}/{kind}/",
                end_time=end_time,
                sort_desc=True,
                limit=limit + 1,
                offset=offset,
            )
            for job in map(_job, page):
                if not skipping:
                    found.append(job)
                # Jobs of the same millisecond share `end_time`: those up to `after` were seen already.
                skipping = skipping and job.address.id != after
            if len(page) <= limit:
                break
            offset += len(page)
        return tuple(found[:limit])

    async def wait(self, address: JobAddress, *, timeout_s: float) -> Job:
        """Until the job ends or the time is up."""
        deadline = time.monotonic() + timeout_s
        key = _key(address)
        with self._signals.listen(key) as signal:
            while not (job := await self.get(address)).is_ended:
                left = deadline - time.monotonic()
                if left <= 0:
                    break
                await signal.wait(min(left, self._pause(key)))
        return job

    async def cancel(self, address: JobAddress) -> Job:
        """Stop it at once, wherever it is; a job that has ended is left as it is."""
        job = await self.get(address)
        if job.is_ended:
            return job
        await DBOS.cancel_workflow_async(_key(address))
        if task := self._running.get(_key(address)):
            task.cancel()
            await asyncio.wait([task], timeout=1.0)
        self._signals.notify(_key(address))
        return await self.get(address)

    async def resume(self, address: JobAddress) -> Job:
        """Go on from the last good step. Raises NotFound, Conflict."""
        job = await self.get(address)
        key = _key(address)
        if job.state == "cancelled":
            await DBOS.resume_workflow_async(key)
        elif job.state == "failed":
            # A step that failed is recorded as such; it and what follows is done again.
            steps = await DBOS.list_workflow_steps_async(key)
            bad = [step["function_id"] for step in steps if step["error"] is not None]
            await DBOS.rewind_workflow_async(key, start_step=min(bad, default=len(steps) + 1))
        else:
            raise errors.Conflict(f"{address.kind} {address.id!r} is {job.state}; only failed or cancelled ones resume")
        return await self.get(address)

    async def fork(self, address: JobAddress, new_id: str, *, step: int) -> Job:
        """A new job with the records before `step`. Raises NotFound."""
        await self.get(address)
        target = JobAddress(address.namespace, address.kind, new_id)
        with SetWorkflowID(_key(target)):
            await DBOS.fork_workflow_async(_key(address), step)
        return await self.get(target)

    async def events(self, address: JobAddress, *, start: int = 0) -> AsyncIterator[JobEvent]:
        """Events from number `start` on, then live ones, until the job ends. Raises NotFound."""
        key = _key(address)
        with self._signals.listen(key) as signal:
            while True:
                # Asked before reading: an event published in between is then read in the next round.
                ended = (await self.get(address)).is_ended
                async for event in _recorded(key, start):
                    start = event.seq + 1
                    yield event
                if ended:
                    return
                await signal.wait(self._pause(key))

    async def backlog(self, namespace: str | None, kind: str) -> int:
        """Jobs of a kind that wait or run."""
        prefix = None if namespace is None else f"{namespace}/{kind}/"
        waiting = await DBOS.list_workflows_async(
            name=kind,
            workflow_id_prefix=prefix,
            status=["ENQUEUED", "PENDING"],
            load_input=False,
            load_output=False,
        )
        return len(waiting)

    async def schedule(self, name: str, kind: str, cron: str) -> None:
        """Run a job of this kind in the namespace `system` whenever `cron` says so (UTC)."""
        if await DBOS.get_schedule_async(name) is not None:
            await DBOS.delete_schedule_async(name)
        assert self._tick is not None
        await DBOS.create_schedule_async(schedule_name=name, workflow_fn=self._tick, schedule=cron, context=kind)

    async def prune(self, *, older_than_s: float) -> int:
        """Delete jobs that ended longer ago; says how many."""
        before = datetime.fromtimestamp(time.time() - older_than_s, UTC).isoformat()

        def delete() -> int:
            old = DBOS.list_workflows(completed_before=before, load_input=False, load_output=False, limit=10_000)
            DBOS.delete_workflows([status.workflow_id for status in old])
            return len(old)

        return await _plain(delete)

    def _pause(self, key: str) -> float:
        # The engine writes a job's end just after its body returns: look again soon.
        return ENDING_POLL_S if self._signals.is_ending(key) else IDLE_POLL_S

    def _body(self) -> _Workflow:
        async def body(arguments: dict[str, Json]) -> dict[str, Json]:
            # The id is asked of the engine: a forked job has another one than it was called with.
            assert DBOS.workflow_id is not None
            return await self._run(_address(DBOS.workflow_id), arguments)

        return body

    def _scheduled(self) -> Callable[..., Any]:
        async def tick(scheduled_at: datetime, kind: str) -> dict[str, Json]:
            address = JobAddress("system", kind, scheduled_at.isoformat())
            return await self._run(address, {"scheduled_at": scheduled_at.timestamp()})

        return tick

    async def _run(self, address: JobAddress, arguments: Mapping[str, Json]) -> dict[str, Json]:
        key = _key(address)
        async with self._slots[address.kind]:
            run = _Run(address, self._enqueue, lambda: self._signals.notify(key))
            task = asyncio.ensure_future(self._kinds[address.kind].handler(run, arguments))
            self._running[key] = task
            try:
                return await task
            finally:
                del self._running[key]
                self._signals.ending(key)


class _Run:
    """What a handler sees of its job: a journal over recorded steps."""

    def __init__(
        self,
        address: JobAddress,
        enqueue: Callable[[JobAddress, Mapping[str, Json]], Awaitable[None]],
        notify: Callable[[], None],
    ) -> None:
        self._address = address
        self._enqueue = enqueue
        self._notify = notify

    @property
    def address(self) -> JobAddress:
        return self._address

    async def step(self, name: str, do: Callable[[], Awaitable[Json]]) -> Json:
        async def run() -> Json:
            return await do()

        try:
            return await DBOS.run_step_async({"name": name}, run)
        except DBOSWorkflowCancelledError as cancelled:
            # To whatever runs inside, this is an ordinary cancellation.
            raise asyncio.CancelledError from cancelled
        except PortableWorkflowError as recorded:
            raise _error(recorded) from recorded

    async def event(self, name: str, data: Json) -> None:
        try:
            await DBOS.write_stream_async(EVENTS, {"name": name, "data": data})
        except DBOSWorkflowCancelledError as cancelled:
            raise asyncio.CancelledError from cancelled
        self._notify()

    async def enqueue(self, address: JobAddress, arguments: Mapping[str, Json]) -> None:
        await self._enqueue(address, arguments)


class _Signals:
    """Wakes readers in this process; a hint only, the file is the truth."""

    def __init__(self) -> None:
        self._listeners: dict[str, set[_Signal]] = defaultdict(set)
        self._ending: set[str] = set()

    @contextlib.contextmanager
    def listen(self, key: str) -> Iterator[_Signal]:
        signal = _Signal()
        self._listeners[key].add(signal)
        try:
            yield signal
        finally:
            self._listeners[key].discard(signal)
            if not self._listeners[key]:
                del self._listeners[key]
                self._ending.discard(key)

    def notify(self, key: str) -> None:
        for signal in self._listeners.get(key, ()):
            signal.set()

    def ending(self, key: str) -> None:
        if key in self._listeners:
            self._ending.add(key)
            self.notify(key)

    def is_ending(self, key: str) -> bool:
        return key in self._ending


class _Signal:
    """An event that resets itself."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def set(self) -> None:
        self._event.set()

    async def wait(self, timeout_s: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._event.wait(), timeout_s)
        self._event.clear()


async def _recorded(key: str, start: int) -> AsyncIterator[JobEvent]:
    """Events that are in the file now."""
    values = DBOS.read_stream_async(key, EVENTS, offset=start, timeout_seconds=0)
    with contextlib.suppress(DBOSStreamTimeoutError):
        async for value in values:
            yield JobEvent(start, value["name"], value["data"])
            start += 1


async def _plain(do: Callable[[], _T]) -> _T:
    """Call the engine in a thread outside any workflow, where its calls are not recorded as steps."""
    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(None, contextvars.Context().run, do)


def _use_wal(path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.closing(sqlite3.connect(path)) as connection:
            connection.execute("PRAGMA journal_mode=WAL")
    except (OSError, sqlite3.Error) as error:
        raise errors.StoreError(f"the job file {str(path)!r} cannot be used: {error}") from error


def _key(address: JobAddress) -> str:
    return f"{address.namespace}/{address.kind}/{address.id}"


def _address(key: str) -> JobAddress:
    namespace, kind, job_id = key.split("/", 2)
    return JobAddress(namespace, kind, job_id)


def _job(status: WorkflowStatus) -> Job:
    return Job(
        address=_address(status.workflow_id),
        state=_STATES[status.status],
        input=status.input["args"][0] if status.input else {},
        output=status.output,
        error=None if status.error is None else str(status.error),
        created_at=(status.created_at or 0) / 1000,
        updated_at=(status.updated_at or 0) / 1000,
        ended_at=None if status.completed_at is None else status.completed_at / 1000,
    )


def _error(recorded: PortableWorkflowError) -> Exception:
    """The error a recorded step ended with, as one of ours where it was one of ours."""
    kind = getattr(errors, recorded.name, errors.ApprenticeError)
    if not (isinstance(kind, type) and issubclass(kind, errors.ApprenticeError)):
        kind = errors.ApprenticeError
    return kind(recorded.message)


