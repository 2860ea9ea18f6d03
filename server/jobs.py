"""The port to durable work: what the server asks of a job engine. No engine is named here.

A job belongs to a namespace and has a kind and an id; the three together are its address, so that another
namespace's id leads nowhere. Its handler is an ordinary coroutine; whatever it does through `JobRun.step` is
recorded and not done again after a crash.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from memory.codec import to_json
from memory.types import Json

JobState = Literal["queued", "running", "done", "failed", "cancelled"]
ENDED: frozenset[JobState] = frozenset({"done", "failed", "cancelled"})


@dataclass(frozen=True, slots=True)
class JobAddress:
    """Where a job is found."""

    namespace: str
    kind: str
    id: str


@dataclass(frozen=True, slots=True)
class Job:
    """A piece of durable work as it stands."""

    address: JobAddress
    state: JobState
    input: Mapping[str, Json]
    output: Mapping[str, Json] | None
    error: str | None
    created_at: float
    updated_at: float
    ended_at: float | None
    attempts: int = 1
    """How often it was begun: more than once after a crash, or where it was resumed."""

    @property
    def is_ended(self) -> bool:
        """Will it never change again by itself?"""
        return self.state in ENDED


@dataclass(frozen=True, slots=True)
class JobEvent:
    """One published step of progress; `seq` counts from 0 without gaps, also across restarts."""

    seq: int
    name: str
    data: Json


class JobRun(Protocol):
    """What a handler is given: its address, a journal, and a way to start follow-up work."""

    @property
    def address(self) -> JobAddress:
        """The job being run."""
        ...

    @property
    def origin(self) -> str | None:
        """Where it was set, as a W3C traceparent."""
        ...

    async def step(self, name: str, do: Callable[[], Awaitable[Json]]) -> Json:
        """Run `do` once and record its result; on a replay return the record."""
        ...

    async def event(self, name: str, data: Json) -> None:
        """Publish progress, durably and once."""
        ...

    async def receive(self, topic: str, *, timeout_s: float) -> Json:
        """Wait for what is sent to the job under a topic; None when the time is over.

        The wait goes on after a crash, for what is left of it; meanwhile other jobs take the job's turn.
        """
        ...

    async def enqueue(self, address: JobAddress, arguments: Mapping[str, Json]) -> None:
        """Queue another job; once, also when this one is replayed."""
        ...


Handler = Callable[[JobRun, Mapping[str, Json]], Awaitable[dict[str, Json]]]


@dataclass(frozen=True, slots=True)
class JobKind:
    """How one kind of job is run."""

    handler: Handler
    limit: int
    """Jobs of this kind that run at the same time."""
    ordered: bool = False
    """One at a time and in order within a namespace."""
    prompt: bool = False
    """Somebody waits for it to begin: its queue is looked at more often."""
    share: Callable[[str], int | None] | None = None
    """Most jobs of a namespace that run at the same time in one process; None: as many as the kind's."""


@dataclass(frozen=True, slots=True)
class Backlog:
    """What waits or runs of one kind, in all namespaces."""

    count: int = 0
    since: float = 0.0
    """When the oldest of them was queued."""


class Jobs(Protocol):
    """Durable jobs: start, follow, cancel, resume."""

    async def launch(self, kinds: Mapping[str, JobKind]) -> None:
        """Open the engine and take up unfinished work. Kinds are fixed from here on."""
        ...

    async def close(self) -> None:
        """Stop; unfinished work is taken up at the next launch."""
        ...

    async def start(self, address: JobAddress, arguments: Mapping[str, Json]) -> Job:
        """Start now; an address that exists already is returned as it stands."""
        ...

    async def enqueue(self, address: JobAddress, arguments: Mapping[str, Json]) -> Job:
        """Start when the kind's queue allows it."""
        ...

    async def get(self, address: JobAddress) -> Job:
        """Raises NotFound."""
        ...

    async def list(
        self, namespace: str, kind: str, *, limit: int, after: str | None = None, prefix: str = ""
    ) -> tuple[Job, ...]:
        """Newest first, behind the job with id `after`; those whose ids begin with `prefix`."""
        ...

    async def everything(
        self,
        namespace: str,
        *,
        limit: int,
        after: JobAddress | None = None,
        kinds: Sequence[str] = (),
        states: Sequence[JobState] = (),
    ) -> tuple[Job, ...]:
        """Jobs of all kinds, or of some, newest first, behind one of them."""
        ...

    async def tally(
        self, namespace: str, kind: str, *, prefix: str = "", living: bool = False, limit: int | None = None
    ) -> Mapping[JobState, int]:
        """How many of a kind there are by state, `limit` in all at most; `living`: those not ended."""
        ...

    async def wait(self, address: JobAddress, *, timeout_s: float) -> Job:
        """Until it ends or the time is up, whichever is first."""
        ...

    async def send(self, address: JobAddress, topic: str, value: Json) -> None:
        """Answer a job that waits under a topic, or will; once. Raises NotFound."""
        ...

    async def cancel(self, address: JobAddress) -> Job:
        """Stop it at once; a job that has ended is left as it is."""
        ...

    async def resume(self, address: JobAddress) -> Job:
        """Go on with a failed or cancelled job from its last recorded step. Raises Conflict for others."""
        ...

    async def fork(self, address: JobAddress, new_id: str, *, step: int) -> Job:
        """A new job that shares the records before `step` and runs on from there."""
        ...

    def events(self, address: JobAddress, *, start: int = 0) -> AsyncIterator[JobEvent]:
        """Every event from number `start` on, then live ones, until the job ends."""
        ...

    async def latest_event(self, address: JobAddress) -> JobEvent | None:
        """The newest event; None before the first."""
        ...

    async def backlog(self, namespace: str | None, kind: str) -> int:
        """Queued jobs of a kind, in one namespace or in all."""
        ...

    async def waiting_since(self, namespace: str, kind: str) -> float | None:
        """When the oldest of them was queued; None when nothing waits."""
        ...

    async def standing(self) -> Mapping[str, Backlog]:
        """What waits or runs, by kind; every kind that was launched is named."""
        ...

    async def failed(self, kind: str) -> tuple[JobAddress, ...]:
        """Jobs of a kind that failed, in all namespaces."""
        ...

    async def delete(self, address: JobAddress) -> None:
        """Delete a job that has ended, with all that is recorded of it. Raises NotFound, Conflict."""
        ...

    async def prune(self, *, older_than_s: float) -> int:
        """Delete jobs that ended longer ago; says how many."""
        ...

    async def schedule(self, name: str, kind: str, cron: str) -> None:
        """Run a job of this kind, in the namespace `system`, at these times (UTC)."""
        ...


def json_object(value: object) -> dict[str, Json]:
    """A dataclass as the JSON object that is stored with a job."""
    data = to_json(value)
    assert isinstance(data, dict)
    return data
