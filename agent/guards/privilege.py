"""Privilege: what a tool call may do, by ordered rules. Pure; policies are plain data.

Source: Progent (Shi et al. 2025, arXiv 2504.11703) for ordered allow/forbid rules with conditions on
arguments, fallbacks and confinement that only narrows. Deviations: conditions are JSON Schema alone;
an absent argument is judged by an explicit field; policies narrow by conjunction of whole policies,
which needs no solver; a rule may ask for a floor of trust.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from agent.models.schema import first_violation
from agent.types import ANSWER_TOOL, Action, GuardContext, Verdict
from memory.types import Json, ToolCall

Fallback = Literal["message", "ask", "stop"]
_ACTIONS: Mapping[Fallback, Action] = {"message": "block", "ask": "ask", "stop": "stop"}
_STRICTNESS: Mapping[Action, int] = {"allow": 0, "ask": 1, "block": 2, "stop": 3}


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
