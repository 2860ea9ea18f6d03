"""What is read of jobs on DBOS: one, a page, its events, how many wait."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from functools import partial

from dbos import DBOS

from memory import errors
from server.jobs import Backlog, Job, JobAddress, JobEvent, JobKind, JobState
from server.jobs_calls import address_of, backlogs, job_of, key_of, newest, plain, recorded, tallied, waiting
from server.jobs_feed import Feeds, Told
from server.jobs_signals import Signals


class JobReader:
    """The reading half of `server.jobs.Jobs`."""

    def __init__(self) -> None:
        self._kinds: Mapping[str, JobKind] = {}
        self._signals = Signals()
        self._feeds = Feeds(self._look, self._signals)

    async def get(self, address: JobAddress) -> Job:
        """Raises NotFound."""
        status = await plain(lambda: DBOS.get_workflow_status(key_of(address)))
        if status is None:
            raise errors.NotFound(f"there is no {address.kind} {address.id!r} here")
        return job_of(status)

    async def list(
        self, namespace: str, kind: str, *, limit: int, after: str | None = None, prefix: str = ""
    ) -> tuple[Job, ...]:
        """Newest first. `after` is the id of the last job of the page before. Raises NotFound for it."""
        last = None if after is None else await self.get(JobAddress(namespace, kind, after))
        return await newest(f"{namespace}/{kind}/{prefix}", limit, last)

    async def everything(
        self,
        namespace: str,
        *,
        limit: int,
        after: JobAddress | None = None,
        kinds: Sequence[str] = (),
        states: Sequence[JobState] = (),
    ) -> tuple[Job, ...]:
        """Newest first, behind the job `after`. Raises NotFound for it."""
        last = None if after is None else await self.get(after)
        return await newest(f"{namespace}/", limit, last, kinds, states)

    async def tally(
        self, namespace: str, kind: str, *, prefix: str = "", living: bool = False, limit: int | None = None
    ) -> Mapping[JobState, int]:
        """How many of a kind there are by state; looks at `limit` of them at most."""
        return await plain(partial(tallied, f"{namespace}/{kind}/{prefix}", living=living, limit=limit))

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

    async def events(self, address: JobAddress, *, start: int = 0) -> AsyncIterator[JobEvent]:
        """Events from number `start` on, then live ones, until the job ends. Raises NotFound."""
        async with aclosing(self._feeds.follow(key_of(address), start)) as events:
            async for event in events:
                yield event

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

    async def standing(self) -> Mapping[str, Backlog]:
        """What waits or runs, by kind."""
        return {kind: Backlog() for kind in self._kinds} | backlogs(await waiting(None, None))

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

    async def _look(self, key: str, start: int) -> Told:
        # Asked before reading: an event published in between is then read in the next round.
        is_ended = (await self.get(address_of(key))).is_ended
        return Told(tuple([event async for event in recorded(key, start)]), is_ended)
