"""Quota: how much one episode may use, and how many agents it may start. Pure.

Source: the replication guard of Agent Matrix (arXiv 2509.25302), zero spawned agents unless allowed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from agent.types import GuardContext, Verdict
from memory.types import ToolCall

SPAWN_TOOLS = frozenset({"spawn", "spawn_self", "submit_task"})
"""Tools that create agents or tasks, as they are called here."""


@dataclass(frozen=True, slots=True)
class Quota:
    """Limits of one episode, checked before every call; None means no limit."""

    max_steps: int | None = None
    max_tokens: int | None = None
    max_cost_usd: float | None = None
    max_seconds: float | None = None
    calls: Mapping[str, int] = field(default_factory=dict)
    """Calls of a tool that may be answered, by its name; a refused call counts too."""
    spawns: int = 0
    """Agents or tasks that may be created in all; a refused call counts too."""
    spawn_tools: frozenset[str] = SPAWN_TOOLS
    depth: int = 0
    """How many tasks stand above this one, by its record."""
    max_depth: int | None = None
    """Only a task with fewer above it may start any."""
    name = "quota"

    def check(self, call: ToolCall, context: GuardContext) -> Verdict:
        """Stop when a total is used up, block when this tool's share is."""
        spent = context.spent
        totals: tuple[tuple[str, float, float | None], ...] = (
            ("steps", spent.steps, self.max_steps),
            ("tokens", spent.usage.prompt_tokens + spent.usage.completion_tokens, self.max_tokens),
            ("dollars", spent.usage.cost_usd, self.max_cost_usd),
            ("seconds", spent.seconds, self.max_seconds),
        )
        for what, used, limit in totals:
            if limit is not None and used >= limit:
                return Verdict("stop", f"all {limit:g} {what} are used", self.name)
        return self._shares(call, tuple(_before(call, context)), context.nested)

    def _shares(self, call: ToolCall, before: Sequence[ToolCall], nested: Sequence[str]) -> Verdict:
        limit = self.calls.get(call.name)
        n_called = sum(one.name == call.name for one in before) + nested.count(call.name)
        if limit is not None and n_called >= limit:
            return Verdict("block", f"{call.name!r} may be called {limit} times in a task", self.name)
        if call.name in self.spawn_tools and self.max_depth is not None and self.depth >= self.max_depth:
            reason = f"tasks may be started {self.max_depth} deep, and this one is {self.depth} deep already"
            return Verdict("block", reason, self.name)
        spawned = sum(copies(one) for one in before if one.name in self.spawn_tools)
        spawned += sum(name in self.spawn_tools for name in nested)
        if call.name in self.spawn_tools and spawned + copies(call) > self.spawns:
            return Verdict("block", f"{self.spawns} agents may be started in a task", self.name)
        return Verdict("allow", guard=self.name)


def copies(call: ToolCall) -> int:
    """How many agents a call that creates some asks for: its argument `n`, else one.

    >>> copies(ToolCall("c", "spawn", {"n": 3})), copies(ToolCall("c", "spawn", {}))
    (3, 1)
    """
    n = call.arguments.get("n", 1)
    return n if isinstance(n, int) and n > 0 else 1


def _before(call: ToolCall, context: GuardContext) -> Iterator[ToolCall]:
    """The model's calls before this one, also those that were answered without a word."""
    for message in context.messages:
        for one in message.tool_calls:
            if one.id == call.id:
                return
            yield one
