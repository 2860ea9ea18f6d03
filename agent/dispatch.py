"""The one door to tools: every call is checked, guarded, run under a time limit, and answered."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

from agent.models.schema import call_fault
from agent.types import ANSWER_TOOL, Guard, GuardContext, Observation, Verdict, World
from memory.errors import WorldError
from memory.types import TRUST, Channel, Json, ToolCall

MOST_INSIDE = 100
"""Calls from inside one call; code may loop."""


@runtime_checkable
class Channels(Protocol):
    """A world that knows where the answers of its tools come from."""

    def channel(self, tool: str) -> Channel:
        """The channel of one tool; `external` answers lower the trust of everything after them."""
        ...


@dataclass(frozen=True, slots=True)
class Dispatched:
    """What became of one call."""

    observation: Observation
    verdict: Verdict
    ran: bool
    """Did it reach the world?"""
    trust: int
    """Trust of the observation, and of all that was called from inside."""
    nested: tuple[str, ...] = ()
    """Tools that were called from inside."""
    done: tuple[str, ...] = ()
    """What was carried out and did not fail: itself, then what was called from inside."""

    def told(self, call: ToolCall) -> dict[str, Json]:
        """The call and what became of it, for those who follow."""
        seen = self.observation
        return {
            "call": {"id": call.id, "name": call.name, "arguments": call.arguments},
            "observation": seen.text,
            "ok": seen.ok,
            "done": seen.done,
            "verdict": self.verdict.action,
        }


class Dispatcher:
    """Runs the calls of one episode in one world."""

    def __init__(
        self,
        world: World,
        guards: Sequence[Guard] = (),
        *,
        timeout_s: float | None = 60.0,
    ) -> None:
        """`timeout_s` bounds one call."""
        self._world, self._guards, self._timeout_s = world, tuple(guards), timeout_s
        self._context: GuardContext | None = None
        """Of the call that is running."""
        self._inside: list[tuple[ToolCall, Dispatched]] = []

    def hold(self, guard: Guard) -> None:
        """One guard more from now on. Each has to allow, so this only narrows."""
        self._guards = (*self._guards, guard)

    async def dispatch(
        self, call: ToolCall, context: GuardContext, *, is_approved: bool = False
    ) -> Dispatched:
        """Check, guard, run. A refusal is an observation with ok False.

        What a guard wants to ask a human about is not run, its verdict `ask` goes back; once `is_approved`,
        it is, if no other guard stands against it. Raises WorldError when the world broke.
        """
        self._context, self._inside = replace(context, done=(*context.done, call.name)), []
        try:
            done = await self._checked(call, context, is_approved=is_approved)
        finally:
            self._context = None
        return _whole(done, self._inside)

    async def inside(self, call: ToolCall) -> Dispatched:
        """A call from inside the tool that is running, under the same guards as any other.

        It belongs to the outer call: its trust lowers the outer one's, and what it ends ends the episode. An
        answer can be given outside alone, and nobody is asked about a call from here. Raises WorldError when
        no tool is running or the world broke.
        """
        if self._context is None:
            raise WorldError(f"{call.name!r} was called from inside, but no tool is running")
        if call.name == ANSWER_TOOL or len(self._inside) >= MOST_INSIDE or _over(self._inside):
            return _refused(Verdict("block", f"{call.name!r} cannot be called from here any more", "inside"))
        outer, before = self._context, [done.trust for _, done in self._inside]
        names = tuple(one.name for one, _ in self._inside)
        happened = (name for _, one in self._inside for name in one.done)
        context = replace(
            outer,
            trust=min([outer.trust, *before]),
            nested=(*outer.nested, *names),
            done=(*outer.done, *happened),
        )
        done = await self._checked(call, context)
        self._inside.append((call, done))
        return done

    async def _checked(
        self, call: ToolCall, context: GuardContext, *, is_approved: bool = False
    ) -> Dispatched:
        fault = call_fault(call.name, call.arguments, self._world.tools())
        if fault:
            return _refused(Verdict("block", fault, "schema"))
        verdict = self._verdict(call, context, is_approved=is_approved)
        if verdict.action != "allow":
            return _refused(verdict)
        observation = await self._run(call)
        channel = observation.channel or self._channel(call.name)
        done = () if observation.ok is False else (call.name,)
        return Dispatched(observation, verdict, ran=True, trust=TRUST[channel], done=done)

    def _channel(self, tool: str) -> Channel:
        return self._world.channel(tool) if isinstance(self._world, Channels) else "tool"

    def _verdict(self, call: ToolCall, context: GuardContext, *, is_approved: bool) -> Verdict:
        """The first word against the call; a question only where nothing else stands against it."""
        question: Verdict | None = None
        for guard in self._guards:
            verdict = guard.check(call, context)
            if verdict.action in {"block", "stop"}:
                return verdict
            if verdict.action == "ask" and not is_approved:
                question = question or verdict
        return question or Verdict("allow")

    async def _run(self, call: ToolCall) -> Observation:
        limit = asyncio.timeout(self._timeout_s)
        try:
            async with limit:
                return await self._world.step(call)
        except WorldError:
            raise
        except TimeoutError as error:
            if not limit.expired():
                raise WorldError(f"{call.name!r} broke: {error}") from error
            return Observation(f"{call.name} did not answer within {self._timeout_s:g} seconds.", ok=False)
        except Exception as error:
            raise WorldError(f"{call.name!r} broke: {type(error).__name__}: {error}") from error


def _over(inside: Sequence[tuple[ToolCall, Dispatched]]) -> bool:
    return any(done.observation.done or done.verdict.action == "stop" for _, done in inside)


def _whole(done: Dispatched, inside: Sequence[tuple[ToolCall, Dispatched]]) -> Dispatched:
    """A call with what was called from inside of it."""
    if not inside:
        return done
    observation, verdict = done.observation, done.verdict
    ended = next((one.observation for _, one in inside if one.observation.done), None)
    if ended is not None:
        observation = replace(observation, done=True, outcome=ended.outcome, reward=ended.reward)
    stopped = next((one.verdict for _, one in inside if one.verdict.action == "stop"), verdict)
    trust = min(done.trust, *(one.trust for _, one in inside))
    names = tuple(call.name for call, _ in inside)
    happened = (*done.done, *(name for _, one in inside for name in one.done))
    return replace(done, observation=observation, verdict=stopped, trust=trust, nested=names, done=happened)


def _refused(verdict: Verdict) -> Dispatched:
    words = {"stop": "stopped", "block": "refused", "ask": "refused: not approved"}
    text = f"{words[verdict.action]}: {verdict.reason}"
    return Dispatched(Observation(text, ok=False), verdict, ran=False, trust=TRUST["operator"])
