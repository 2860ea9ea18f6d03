"""Calls of DBOS and what they return, in the port's own terms."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import sqlite3
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TypeVar

from dbos import DBOS, WorkflowStatus
from dbos._error import DBOSStreamTimeoutError  # not exported by name

from memory import errors
from server.jobs import ENDED, Backlog, Job, JobAddress, JobEvent, JobKind, JobState

EVENTS = "events"
IN_ORDER = "in order"
"""The queue of most kinds: a look at a queue takes milliseconds, of one in order ten."""
UNHURRIED = 5
"""Where nobody waits, queues are looked at so many times less often: a server without work was at it for a
sixth of a core."""
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


async def recorded(key: str, start: int) -> AsyncIterator[JobEvent]:
    """Events that are in the file now."""
    values = DBOS.read_stream_async(key, EVENTS, offset=start, timeout_seconds=0)
    with contextlib.suppress(DBOSStreamTimeoutError):
        async for value in values:
            yield JobEvent(start, value["name"], value["data"])
            start += 1


async def newest(
    prefix: str,
    limit: int,
    last: Job | None,
    kinds: Sequence[str] = (),
    states: Sequence[JobState] = (),
) -> tuple[Job, ...]:
    """Jobs whose ids begin with `prefix`, newest first; of those that follow `last` in that order."""
    named = [name for name, state in _STATES.items() if state in states]
    end_time = None if last is None else datetime.fromtimestamp(last.created_at, UTC).isoformat()
    found: list[Job] = []
    skipping, offset = last is not None, 0
    while len(found) < limit:
        page = await plain(partial(_page, prefix, end_time, limit + 1, offset, list(kinds), named))
        for job in map(job_of, page):
            if not skipping:
                found.append(job)
            # Jobs of the same moment share `end_time`: those up to `last` were seen already.
            skipping = skipping and last is not None and job.address != last.address
        if len(page) <= limit:
            break
        offset += len(page)
    return tuple(found[:limit])


def _page(
    prefix: str, end_time: str | None, limit: int, offset: int, kinds: list[str], states: list[str]
) -> list[WorkflowStatus]:
    return DBOS.list_workflows(
        workflow_id_prefix=prefix,
        end_time=end_time,
        sort_desc=True,
        limit=limit,
        offset=offset,
        name=kinds or None,
        status=states or None,
    )


def tallied(prefix: str, *, living: bool, limit: int | None) -> dict[JobState, int]:
    """How many jobs whose ids begin with `prefix` there are, by state."""
    states = [name for name, state in _STATES.items() if state not in ENDED] if living else None
    found = DBOS.list_workflows(
        workflow_id_prefix=prefix, status=states, limit=limit, load_input=False, load_output=False
    )
    return dict(Counter(_STATES[status.status] for status in found))


async def waiting(namespace: str | None, kind: str | None) -> list[Job]:
    """Jobs of a kind, or of all, that wait or run, without what went into them."""
    found = await DBOS.list_workflows_async(
        name=kind,
        workflow_id_prefix=None if namespace is None else f"{namespace}/{kind}/",
        status=["ENQUEUED", "PENDING"],
        load_input=False,
        load_output=False,
    )
    # Only our own ids are addresses: a tick of a schedule is the engine's.
    return [job_of(status) for status in found if status.workflow_id.count("/") > 1]


def backlogs(jobs: Sequence[Job]) -> dict[str, Backlog]:
    """How many of each kind there are, and since when."""
    since: dict[str, list[float]] = {}
    for job in jobs:
        since.setdefault(job.address.kind, []).append(job.created_at)
    return {kind: Backlog(len(times), min(times)) for kind, times in since.items()}


async def plain(do: Callable[[], _T]) -> _T:
    """Call the engine in a thread outside any workflow, where its calls are not recorded as steps."""
    loop = asyncio.get_running_loop()
    with told():
        return await loop.run_in_executor(None, contextvars.Context().run, do)


@contextlib.contextmanager
def told() -> Iterator[None]:
    """Failures of the file as ours. Raises DiskFull, StoreError."""
    try:
        yield
    except Exception as error:
        cause = getattr(error, "orig", error)
        if cause is error and not isinstance(cause, sqlite3.Error):
            raise
        if getattr(cause, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL:
            raise errors.DiskFull("no space left for the job file; free some and try again") from error
        raise errors.StoreError(f"the database of jobs failed: {cause}") from error


def resume(key: str, *, failed: bool) -> None:
    """Let a job go on from its last good step."""
    if not failed:
        DBOS.resume_workflow(key)
        return
    # A step that failed is recorded as such; it and what follows is done again.
    steps = DBOS.list_workflow_steps(key)
    bad = [step["function_id"] for step in steps if step["error"] is not None]
    DBOS.rewind_workflow(key, start_step=min(bad, default=len(steps) + 1))


def use_wal(path: Path) -> None:
    """DBOS leaves the file in rollback mode, three times slower. Raises StoreError."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.closing(sqlite3.connect(path)) as connection:
            connection.execute("PRAGMA journal_mode=WAL")
    except (OSError, sqlite3.Error) as error:
        raise errors.StoreError(f"the job file {str(path)!r} cannot be used: {error}") from error


def url_of(where: Path | str) -> str:
    """The database of jobs as DBOS is told it."""
    return f"sqlite:///{where}" if isinstance(where, Path) else where


def queue_of(kind: JobKind, address: JobAddress) -> tuple[str, str]:
    """The queue where a job waits, and its partition: of one partition of IN_ORDER one job runs at a time."""
    if kind.limit == 1:
        return IN_ORDER, address.kind
    if kind.ordered:
        return IN_ORDER, f"{address.kind}/{address.namespace}"
    return address.kind, address.namespace


async def open_queues(kinds: Mapping[str, JobKind], poll_s: float) -> None:
    """Have the queues of these kinds looked at, and no others once they are empty."""
    limits = {queue_of(kind, JobAddress("", name, ""))[0]: kind.limit for name, kind in kinds.items()}
    prompt = {name for name, kind in kinds.items() if kind.prompt}
    for name, limit in (limits | {IN_ORDER: 1}).items():
        every_s = poll_s if name in prompt else poll_s * UNHURRIED
        await DBOS.register_queue_async(name, partition_concurrency=limit, polling_interval_sec=every_s)
    for queue in await DBOS.list_queues_async():
        # Of releases before: what waits there is done first.
        waits = await DBOS.list_queued_workflows_async(queue_name=queue.name, limit=1)
        if queue.name not in limits and not waits:
            await DBOS.delete_queue_async(queue.name)


def key_of(address: JobAddress) -> str:
    """The workflow id of a job."""
    return f"{address.namespace}/{address.kind}/{address.id}"


def address_of(key: str) -> JobAddress:
    """The job of a workflow id."""
    namespace, kind, job_id = key.split("/", 2)
    return JobAddress(namespace, kind, job_id)


def job_of(status: WorkflowStatus) -> Job:
    """A workflow's row as a job."""
    return Job(
        address=address_of(status.workflow_id),
        state=_STATES[status.status],
        input=status.input["args"][0] if status.input else {},
        output=status.output,
        error=None if status.error is None else str(status.error),
        created_at=(status.created_at or 0) / 1000,
        updated_at=(status.updated_at or 0) / 1000,
        ended_at=None if status.completed_at is None else status.completed_at / 1000,
        attempts=status.recovery_attempts or 0,
    )
