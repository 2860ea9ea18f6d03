"""What an episode does to the outside, each thing once: the journal answers for what was done before."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from agent.dispatch import Dispatched, Dispatcher
from agent.opening import Opening
from agent.reminding import Reminder
from agent.types import (
    Approve,
    Guard,
    GuardContext,
    Journal,
    Model,
    Observation,
    Reply,
    Request,
    Snapshots,
    Task,
    Verdict,
    Waits,
    World,
)
from agent.verification.outcomes import Ruling
from memory.codec import from_json, to_json
from memory.errors import (
    ApprenticeError,
    BadInput,
    BudgetExceeded,
    ContextExceeded,
    DiskFull,
    EncoderError,
    ModelError,
    StoreError,
    Throttled,
    TooLarge,
    WorldError,
)
from memory.types import Json, ToolCall

_REVIVED: Mapping[str, type[ApprenticeError]] = {
    kind.__name__: kind
    for kind in (
        BadInput,
        BudgetExceeded,
        ContextExceeded,
        DiskFull,
        EncoderError,
        ModelError,
        StoreError,
        Throttled,
        TooLarge,
        WorldError,
    )
}
"""What a recorded failure is raised as; others, foreign ones too, are told in the words of their root."""


@dataclass(frozen=True, slots=True)
class Sources:
    """Where the effects of one episode happen."""

    task: Task
    world: World
    model: Model
    dispatcher: Dispatcher
    journal: Journal
    clock: Callable[[], float]
    approve: Approve | None = None


class Effects:
    """Runs effects through the journal. Failures are recorded too, so a replay fails alike.

    After replayed steps the world object is behind; before the next real step it is put back to the
    snapshot that the last replayed step recorded.
    """

    def __init__(self, sources: Sources) -> None:
        self._on = sources
        self._replayed = False
        self._behind = False
        self._snapshot: Json = None
        self._n_calls = self._n_steps = self._n_rulings = self._n_asks = self._n_restores = 0
        self._n_questions = 0
        self.seconds = 0.0
        """Time spent in effects; time between a crash and the replay does not count."""
        self.started_at = self.ended_at = 0.0

    async def reset(self) -> Observation:
        """Start the world. Raises WorldError."""

        async def do() -> dict[str, Json]:
            observation = await self._on.world.reset(self._on.task)
            return {"result": to_json(observation), "snapshot": self._photograph()}

        value = await self._once("reset", do, None)
        self.started_at = self.ended_at - self.seconds
        self._note(value)
        return from_json(Observation, value["result"])

    async def opening(self, recall: Callable[[], Awaitable[Opening]]) -> Opening:
        """What `recall` made of the start at the first run."""

        async def do() -> dict[str, Json]:
            return {"result": to_json(await recall())}

        return from_json(Opening, (await self._once("opening", do, None))["result"])

    async def reminder(self, recall: Callable[[], Awaitable[Reminder | None]]) -> Reminder | None:
        """What `recall` made of the latest step at the first run."""

        async def do() -> dict[str, Json]:
            return {"result": to_json(await recall())}

        found = (await self._once(f"recall {self._n_steps}", do, None))["result"]
        return None if found is None else from_json(Reminder, found)

    async def once(self, name: str, do: Callable[[], Awaitable[Json]]) -> Json:
        """What `do` gave after the latest step at the first run, under a name of its own."""

        async def named() -> dict[str, Json]:
            return {"result": await do()}

        return (await self._once(f"{name} {self._n_steps}", named, None))["result"]  # type: ignore[no-any-return]

    async def ruling(self, verify: Callable[[], Awaitable[Ruling]]) -> Ruling:
        """What `verify` found at the first run, in the world as the last step left it."""

        async def do() -> dict[str, Json]:
            await self._catch_up()
            return {"result": to_json(await verify())}

        self._n_rulings += 1
        return from_json(Ruling, (await self._once(f"verify {self._n_rulings}", do, None))["result"])

    async def complete(self, request: Request, *, limit_s: float | None) -> Reply:
        """One model call. Raises ModelError, BudgetExceeded when `limit_s` is over."""
        self._n_calls += 1

        async def do() -> dict[str, Json]:
            (reply,) = await self._on.model.complete(request)
            return {"result": to_json(reply)}

        value = await self._once(f"model {self._n_calls}", do, limit_s)
        return from_json(Reply, value["result"])

    async def ask(self, request: Request, *, limit_s: float | None) -> tuple[Reply, ...]:
        """A model call beside the turns. Raises ModelError, BudgetExceeded when `limit_s` is over."""
        self._n_asks += 1

        async def do() -> dict[str, Json]:
            return {"result": [to_json(reply) for reply in await self._on.model.complete(request)]}

        value = await self._once(f"ask {self._n_asks}", do, limit_s)
        return tuple(from_json(Reply, reply) for reply in value["result"])

    @property
    def snapshot(self) -> Json:
        """The world as the last step left it; None where it cannot be put back."""
        return self._snapshot

    async def restore(self, snapshot: Json) -> None:
        """Put the world back. Raises WorldError where that cannot be."""
        self._n_restores += 1

        async def do() -> dict[str, Json]:
            world = self._on.world
            if not isinstance(world, Snapshots):
                raise WorldError(f"the world of task {self._on.task.id!r} cannot be put back where it was")
            world.restore(self._on.task, snapshot)
            return {"snapshot": snapshot}

        self._note(await self._once(f"restore {self._n_restores}", do, None))

    async def dispatch(
        self, call: ToolCall, context: GuardContext, *, limit_s: float | None, is_approved: bool = False
    ) -> Dispatched:
        """One call through the dispatcher. Raises WorldError, BudgetExceeded when `limit_s` is over."""
        self._n_steps += 1

        async def do() -> dict[str, Json]:
            await self._catch_up()
            done = await self._on.dispatcher.dispatch(call, context, is_approved=is_approved)
            made: Json = {"id": call.id, "name": call.name}
            return {"result": to_json(done), "snapshot": self._photograph(), "call": made}

        value = await self._once(f"step {self._n_steps}", do, limit_s)
        self._note(value)
        return from_json(Dispatched, value["result"])

    async def approved(self, call: ToolCall, verdict: Verdict, *, wait_s: float) -> bool:
        """A human's word on a call; no where nobody can be asked or nobody answers in time.

        The time is not the run's. Raises what the asking raises.
        """
        self._n_questions += 1
        topic, approve, journal = f"approve {self._n_questions}", self._on.approve, self._on.journal
        if approve is not None:

            async def do() -> dict[str, Json]:
                return {"result": await approve(call, verdict)}

            return bool((await self._once(topic, do, None))["result"])
        if wait_s <= 0 or not isinstance(journal, Waits):
            return False
        asked: dict[str, Json] = {"question": self._n_questions, "wait_s": wait_s}
        await self.event("ask", {**asked, "call": to_json(call), "reason": verdict.reason})
        answer = await journal.receive(topic, timeout_s=wait_s)
        await self.event("answer", {"question": self._n_questions, "approved": answer})
        return answer is True

    async def inside(self, call: ToolCall) -> Dispatched:
        """A call from inside the one that is running; the journal keeps the outer one."""
        return await self._on.dispatcher.inside(call)

    def hold(self, guard: Guard) -> None:
        """One guard more over every call from now on."""
        self._on.dispatcher.hold(guard)

    async def event(self, name: str, data: dict[str, Json]) -> None:
        """Publish progress."""
        await self._on.journal.event(name, data)

    async def _once(
        self, name: str, do: Callable[[], Awaitable[dict[str, Json]]], limit_s: float | None
    ) -> dict[str, Any]:
        self._replayed = True

        async def timed() -> Json:
            self._replayed = False
            begun = self._on.clock()
            entry = await _attempt(do, limit_s)
            ended = self._on.clock()
            return {**entry, "at": ended, "seconds": max(0.0, ended - begun)}

        entry: Any = await self._on.journal.step(name, timed)
        self.seconds += entry["seconds"]
        self.ended_at = entry["at"]
        if "error" in entry:
            kind, text = entry["error"]
            raise _REVIVED.get(kind, ApprenticeError)(text)
        value: dict[str, Any] = entry["value"]
        return value

    def _photograph(self) -> Json:
        return self._on.world.snapshot() if isinstance(self._on.world, Snapshots) else None

    def _note(self, value: Mapping[str, Any]) -> None:
        self._behind, self._snapshot = self._replayed, value["snapshot"]

    async def _catch_up(self) -> None:
        if not self._behind:
            return
        if isinstance(self._on.world, Snapshots):
            self._on.world.restore(self._on.task, self._snapshot)
        elif self._n_steps == 1:
            await self._on.world.reset(self._on.task)
        else:
            raise WorldError(f"the world of task {self._on.task.id!r} cannot be put back where it was")
        self._behind = False


async def _attempt(do: Callable[[], Awaitable[dict[str, Json]]], limit_s: float | None) -> dict[str, Json]:
    limit = asyncio.timeout(limit_s)
    try:
        async with limit:
            return {"value": await do()}
    except Exception as error:  # noqa: BLE001 - the edge to models, worlds and memory: recorded, then raised as ours
        if limit.expired() and isinstance(error, TimeoutError):
            return {"error": ["BudgetExceeded", f"no seconds are left after {limit_s:g}"]}
        kind = type(error).__name__
        return {"error": [kind, str(error) if kind in _REVIVED else f"{kind}: {error}"]}
