"""What a handler sees of its job when DBOS runs it: a journal over recorded steps."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from dbos import DBOS, PortableWorkflowError
from dbos._error import DBOSWorkflowCancelledError  # not exported by name

from memory import errors
from memory.types import Json
from server.jobs import JobAddress
from server.jobs_calls import EVENTS
from server.jobs_turns import Turn

Enqueue = Callable[[JobAddress, Mapping[str, Json]], Awaitable[None]]


class DbosRun:
    """One run of one job; implements `server.jobs.JobRun`."""

    def __init__(
        self,
        address: JobAddress,
        enqueue: Enqueue,
        notify: Callable[[], None],
        turn: Turn,
        origin: str | None = None,
    ) -> None:
        self._address = address
        self._enqueue = enqueue
        self._notify = notify
        self._turn = turn
        self._origin = origin

    @property
    def origin(self) -> str | None:
        """Where it was set."""
        return self._origin

    @property
    def address(self) -> JobAddress:
        """The job being run."""
        return self._address

    async def step(self, name: str, do: Callable[[], Awaitable[Json]]) -> Json:
        """Run `do` once; its result, or its error, is recorded before anything else happens."""

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
        """Append to the job's stream; once, also when replayed."""
        try:
            await DBOS.write_stream_async(EVENTS, {"name": name, "data": data})
        except DBOSWorkflowCancelledError as cancelled:
            raise asyncio.CancelledError from cancelled
        self._notify()

    async def receive(self, topic: str, *, timeout_s: float) -> Json:
        """Wait for an answer without holding up other jobs."""
        try:
            async with self._turn.lent():
                answer: Json = await DBOS.recv_async(topic, timeout_seconds=timeout_s)
                return answer
        except DBOSWorkflowCancelledError as cancelled:
            raise asyncio.CancelledError from cancelled

    async def enqueue(self, address: JobAddress, arguments: Mapping[str, Json]) -> None:
        """Queue another job as a recorded step."""
        await self._enqueue(address, arguments)


def _error(recorded: PortableWorkflowError) -> Exception:
    """The error a recorded step ended with, as one of ours where it was one of ours."""
    kind = getattr(errors, recorded.name, errors.ApprenticeError)
    if not (isinstance(kind, type) and issubclass(kind, errors.ApprenticeError)):
        kind = errors.ApprenticeError
    return kind(recorded.message)
