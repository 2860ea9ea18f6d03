"""Quota: how much one episode may use, and how many agents it may start. Pure.

Source: the replication guard of Agent Matrix (arXiv 2509.25302), zero spawned agents unless allowed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from agent.types import GuardContext, Verdict
from memory.types import ToolCall


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
    """Calls in all of the tools that create agents or tasks."""
    spawn_tools: frozenset[str] = frozenset({"spawn", "submit_task"})
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
        return self._shares(call, _answered(context))

    def _shares(self, call: ToolCall, answered: Mapping[str, int]) -> Verdict:
        limit = self.calls.get(call.name)
        if limit is not None and answered.get(call.name, 0) >= limit:
            return Verdict("block", f"{call.name!r} may be called {limit} times in a task", self.name)
        spawned = sum(answered.get(name, 0) for name in self.spawn_tools)
        if call.name in self.spawn_tools and spawned >= self.spawns:
            return Verdict("block", f"{self.spawns} agents may be started in a task", self.name)
        return Verdict("allow", guard=self.name)


def _answered(context: GuardContext) -> dict[str, int]:
    names = {call.id: call.name for message in context.messages for call in message.tool_calls}
    counts: dict[str, int] = dict(Counter(context.nested))
    for message in context.messages:
        if message.role == "tool" and message.tool_call_id in names:
            name = names[message.tool_call_id]
            counts[name] = counts.get(name, 0) + 1
    return counts
