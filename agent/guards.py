"""Guards: what a tool call may do (privilege) and how much (quota). Pure; policies are plain data.

Source: Progent (Shi et al. 2025, arXiv 2504.11703) for ordered allow/forbid rules with conditions on
arguments, fallbacks and confinement that only narrows. Deviations: conditions are JSON Schema alone;
an absent argument is judged by an explicit field; policies narrow by conjunction of whole policies,
which needs no solver; a rule may ask for a floor of trust. Quota: the replication guard of Agent
Matrix (arXiv 2509.25302), zero spawned agents unless allowed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from agent.models.schema import first_violation
from agent.types import Action, GuardContext, Verdict
from memory.types import Json, ToolCall

Fallback = Literal["message", "ask", "stop"]
_ACTIONS: Mapping[Fallback, Action] = {"message": "block", "ask": "ask", "stop": "stop"}
_STRICTNESS: Mapping[Action, int] = {"allow": 0, "ask": 1, "block": 2, "stop": 3}
ANSWER_TOOL = "finish"
"""The tool that gives the final answer; saying something to one's user needs no privilege."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One line of a policy."""

    tool: str
    """Name of the tool, or `*` for every tool."""
    effect: Literal["allow", "forbid"]
    when: Mapping[str, Json] = field(default_factory=dict)
    """Argument name to the JSON Schema its value must fit; all must hold. `pattern` searches, anchor it."""
    priority: int = 100
    """Lower numbers are asked first; at the same number forbid goes before allow."""
    missing: Literal["match", "mismatch"] | None = None
    """Does a condition on an absent argument hold? None is the safe reading: no for allow, yes for forbid."""
    min_trust: int = 0
    """An allow rule holds only while the trust of all that is in context is at least this."""
    fallback: Fallback | None = None
    """What a forbid does; None takes the policy's."""
    reason: str = ""

    @property
    def absent_matches(self) -> bool:
        """The `missing` field with its default resolved."""
        return self.effect == "forbid" if self.missing is None else self.missing == "match"


@dataclass(frozen=True, slots=True)
class Policy:
    """Ordered rules; the first that matches decides."""

    rules: tuple[Rule, ...] = ()
    default: Literal["allow", "forbid"] = "forbid"
    """Where no rule matches."""
    fallback: Fallback = "message"
    """What a forbidden call leads to: a message to the agent, a question to a human, or the end."""

    def decide(self, call: ToolCall, trust: int) -> Verdict:
        """The verdict on one call when the lowest trust in context is `trust`."""
        missed = ""
        for rule in sorted(self.rules, key=lambda r: (r.priority, r.effect == "allow")):
            if rule.tool not in {call.name, "*"}:
                continue
            mismatch = _mismatch(rule, call, trust)
            if mismatch is None:
                return self._verdict(rule, call)
            if rule.effect == "allow":
                missed = missed or mismatch
        if self.default == "allow":
            return Verdict("allow", guard=Privilege.name)
        reason = f"{call.name!r} is not allowed here" + (f": {missed}" if missed else "")
        return Verdict(_ACTIONS[self.fallback], reason, Privilege.name)

    def _verdict(self, rule: Rule, call: ToolCall) -> Verdict:
        if rule.effect == "allow":
            return Verdict("allow", rule.reason, Privilege.name)
        reason = rule.reason or f"{call.name!r} is forbidden" + (
            f" when {', '.join(sorted(rule.when))} has this value" if rule.when else ""
        )
        return Verdict(_ACTIONS[rule.fallback or self.fallback], reason, Privilege.name)


def _mismatch(rule: Rule, call: ToolCall, trust: int) -> str | None:
    """Why a rule does not match a call, or None when it does."""
    if trust < rule.min_trust:
        return f"the context holds material of trust {trust}, at least {rule.min_trust} is needed"
    for name, schema in rule.when.items():
        if name not in call.arguments:
            if not rule.absent_matches:
                return f"argument {name!r} is missing"
            continue
        violation = first_violation(call.arguments[name], schema) if isinstance(schema, dict) else None
        if violation or schema is False:
            return f"argument {name!r}: {violation or 'no value is allowed'}"
    return None


@dataclass(frozen=True, slots=True)
class Privilege:
    """Least privilege for tool calls: every policy must allow. No policy at all allows everything."""

    policies: tuple[Policy, ...] = ()
    name = "privilege"

    def check(self, call: ToolCall, context: GuardContext) -> Verdict:
        """The strictest word of all policies (allow < ask < block < stop)."""
        if call.name == ANSWER_TOOL:
            return Verdict("allow", guard=self.name)
        verdicts = [policy.decide(call, context.trust) for policy in self.policies]
        return max(verdicts, key=lambda v: _STRICTNESS[v.action], default=Verdict("allow", guard=self.name))

    def narrowed(self, policy: Policy) -> Privilege:
        """The same with one more policy that must also allow: nothing blocked before is allowed after."""
        return Privilege((*self.policies, policy))


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
    counts: dict[str, int] = {}
    for message in context.messages:
        if message.role == "tool" and message.tool_call_id in names:
            name = names[message.tool_call_id]
            counts[name] = counts.get(name, 0) + 1
    return counts
