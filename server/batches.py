"""Batches: many tasks set at once, as one job that sets them and waits for them. No HTTP here.

The batch is stored whole before it is answered; each task is then queued once under an id that is made of the
batch's and its place, so that it is found again by them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

from memory.codec import to_json
from memory.types import Json
from server.announcing import BATCH
from server.jobs import Job, JobAddress, JobKind, JobRun, Jobs, JobState
from server.services import Core
from server.work import TASK

AT_ONCE = 10_000
"""Batches that wait for their tasks in one process; a batch that waits does nothing."""
_FIRST_LOOK_S, _LAST_LOOK_S = 0.05, 2.0
_LIVING: tuple[JobState, ...] = ("queued", "running")


@dataclass(frozen=True, slots=True)
class BatchOrder:
    """A batch as it is stored with its job."""

    principal: str
    label: str
    orders: tuple[dict[str, Json], ...]
    """Each a `TaskOrder`."""


class Batching:
    """The handler of batches."""

    def __init__(self, jobs: Jobs) -> None:
        self._jobs = jobs

    async def run(self, run: JobRun, arguments: Mapping[str, Json]) -> dict[str, Json]:
        """Queue every task once, then wait until all have ended."""
        orders = arguments["orders"]
        assert isinstance(orders, list)
        for place, order in enumerate(orders):
            assert isinstance(order, dict)
            await run.enqueue(task_at(run.address, place), order)
        pause_s = _FIRST_LOOK_S
        while living(counts := await tally(self._jobs, run.address)):
            await asyncio.sleep(pause_s)
            pause_s = min(_LAST_LOOK_S, 1.5 * pause_s)
        return {"counts": to_json(dict(counts))}

    def kinds(self) -> dict[str, JobKind]:
        """What the job engine is told."""
        return {BATCH: JobKind(self.run, limit=AT_ONCE)}


def task_at(batch: JobAddress, place: int) -> JobAddress:
    """The task at a place of a batch, counting from 0."""
    return JobAddress(batch.namespace, TASK, f"{_prefix(batch)}{place:05d}")


async def tally(jobs: Jobs, batch: JobAddress) -> Mapping[JobState, int]:
    """Its tasks that have been queued, by state."""
    return await jobs.tally(batch.namespace, TASK, prefix=_prefix(batch))


def living(counts: Mapping[JobState, int]) -> int:
    """How many of them go on."""
    return sum(counts.get(state, 0) for state in _LIVING)


async def cancel_batch(core: Core, batch: JobAddress) -> Job:
    """No more of its tasks are queued, and those that go on are stopped. Raises NotFound."""
    job = await core.jobs.cancel(batch)
    last: str | None = None
    while page := await core.jobs.list(batch.namespace, TASK, limit=100, after=last, prefix=_prefix(batch)):
        for task in page:
            if not task.is_ended:
                await core.jobs.cancel(task.address)
        last = page[-1].address.id
    return job


def _prefix(batch: JobAddress) -> str:
    return f"task_{batch.id.removeprefix('batch_')}_"
