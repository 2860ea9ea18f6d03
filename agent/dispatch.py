"""The one door to tools: every call is checked, guarded, run under a time limit, and answered."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from agent.models.schema import first_violation
from agent.types import Action, Guard, GuardContext, Observation, Verdict, World
from memory.errors import WorldError
from memory.types import TRUST, Channel, ToolCall

Approve = Callable[[ToolCall, Verdict], Awaitable[bool]]
"""Asks a human; True lets the call through."""


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
    """Trust of the observation."""


class Dispatcher:
    """Runs the calls of one episode in one world."""

    def __init__(
        self,
        world: World,
        guards: Sequence[Guard] = (),
        *,
        approve: Approve | None = None,
        timeout_s: float | None = 60.0,
    ) -> None:
        """`timeout_s` bounds one call. Without `approve`, what a guard wants to ask about is refused."""
        self._world, self._guards = world, tuple(guards)
        self._approve, self._timeout_s = approve, timeout_s

    async def dispatch(self, call: ToolCall, context: GuardContext) -> Dispatched:
        """Check, guard, run. A refusal is an observation with ok False.

        Raises WorldError when the world broke.
        """
        fault = self._fault(call)
        if fault:
            return _refused(Verdict("block", fault, "schema"))
        verdict = await self._verdict(call, context)
        if verdict.action != "allow":
            return _refused(verdict)
        observation = await self._run(call)
        channel = self._world.channel(call.name) if isinstance(self._world, Channels) else "tool"
        return Dispatched(observation, verdict, ran=True, trust=TRUST[channel])

    def _fault(self, call: ToolCall) -> str | None:
        specs = {spec.name: spec for spec in self._world.tools()}
        if call.name not in specs:
            return f"there is no tool {call.name!r}; there are: {', '.join(specs)}"
        violation = first_violation(call.arguments, specs[call.name].parameters)
        return f"bad arguments for {call.name!r}: {violation}" if violation else None

    async def _verdict(self, call: ToolCall, context: GuardContext) -> Verdict:
        for guard in self._guards:
            verdict = guard.check(call, context)
            if verdict.action == "ask":
                allowed = self._approve is not None and await self._approve(call, verdict)
                action: Action = "allow" if allowed else "block"
                verdict = Verdict(action, f"not approved: {verdict.reason}", verdict.guard)
            if verdict.action != "allow":
                return verdict
        return Verdict("allow")

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


def _refused(verdict: Verdict) -> Dispatched:
    words = {"stop": "stopped", "block": "refused"}
    text = f"{words[verdict.action]}: {verdict.reason}"
    return Dispatched(Observation(text, ok=False), verdict, ran=False, trust=TRUST["operator"])
