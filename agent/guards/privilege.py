"""Privilege: what a tool call may do, by ordered rules. Pure; policies are plain data.

Source: Progent (Shi et al. 2025, arXiv 2504.11703) for ordered allow/forbid rules with conditions on
arguments, fallbacks, updates and confinement that only narrows. Deviations: conditions are JSON Schema alone;
an absent argument is judged by an explicit field; policies narrow by conjunction of whole policies,
which needs no solver; a rule may ask for a floor of trust, of the context or of one argument's value.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from agent.guards.provenance import answers, trust_of
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
    floors: Mapping[str, int] = field(default_factory=dict)
    """Argument name to the least trust of its value, see `agent.guards.provenance`; what is absent or null
    has no value, and passes. For allow rules."""

    @property
    def absent_matches(self) -> bool:
        """The `missing` field with its default resolved."""
        return self.effect == "forbid" if self.missing is None else self.missing == "match"


@dataclass(frozen=True, slots=True)
class Update:
    """A policy that must also allow once a certain call was answered: it can only narrow."""

    after: str
    """Name of the tool, or `*`."""
    policy: Policy
    when: Mapping[str, Json] = field(default_factory=dict)
    """As in rules; an absent argument fits. Of calls from inside of others only the name is known."""


@dataclass(frozen=True, slots=True)
class Decision:
    """A verdict, and what it rests on."""

    verdict: Verdict
    rule: Rule | None = None
    """The rule that decided; None where the default did."""


@dataclass(frozen=True, slots=True)
class Policy:
    """Ordered rules; the first that matches decides."""

    rules: tuple[Rule, ...] = ()
    default: Literal["allow", "forbid"] = "forbid"
    """Where no rule matches."""
    fallback: Fallback = "message"
    """What a forbidden call leads to: a message to the agent, a question to a human, or the end."""
    stores: frozenset[str] = frozenset()
    """Tools whose answers are laid out by programs of ours: a whole field of one is that tool's word."""
    texts: frozenset[str] = frozenset()
    """Tools that fetch a text which the user keeps: it counts as a whole where the user pointed at it."""
    updates: tuple[Update, ...] = ()

    def decide(self, call: ToolCall, context: GuardContext) -> Decision:
        """The word of these rules on one call, without updates."""
        missed = ""
        for rule in sorted(self.rules, key=lambda r: (r.priority, r.effect == "allow")):
            if rule.tool not in {call.name, "*"}:
                continue
            mismatch = self._mismatch(rule, call, context)
            if mismatch is None:
                return Decision(self._verdict(rule, call), rule)
            if rule.effect == "allow":
                missed = missed or mismatch
        if self.default == "allow":
            return Decision(Verdict("allow", guard=Privilege.name))
        reason = f"{call.name!r} is not allowed here" + (f": {missed}" if missed else "")
        return Decision(Verdict(_ACTIONS[self.fallback], reason, Privilege.name))

    def in_force(self, context: GuardContext) -> tuple[Policy, ...]:
        """This policy, and those that calls so far have added."""
        added = (update.policy for update in self.updates if _is_due(update, context))
        return (self, *(policy for one in added for policy in one.in_force(context)))

    def _verdict(self, rule: Rule, call: ToolCall) -> Verdict:
        if rule.effect == "allow":
            return Verdict("allow", rule.reason, Privilege.name)
        reason = rule.reason or f"{call.name!r} is forbidden" + (
            f" when {', '.join(sorted(rule.when))} has this value" if rule.when else ""
        )
        return Verdict(_ACTIONS[rule.fallback or self.fallback], reason, Privilege.name)

    def _mismatch(self, rule: Rule, call: ToolCall, context: GuardContext) -> str | None:
        """Why a rule does not match a call, or None when it does."""
        if context.trust < rule.min_trust:
            return f"the context holds material of trust {context.trust}, at least {rule.min_trust} is needed"
        wrong = _unfit(rule.when, call.arguments, absent_fits=rule.absent_matches)
        if wrong is not None:
            return wrong
        for name, floor in rule.floors.items():
            trust = trust_of(call.arguments.get(name), context, self.stores, self.texts)
            if trust < floor:
                return f"argument {name!r} has a value of trust {trust}, at least {floor} is needed"
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
        return self.decided(call, context).verdict

    def decided(self, call: ToolCall, context: GuardContext) -> Decision:
        """The same, with the rule that it rests on."""
        policies = (one for policy in self.policies for one in policy.in_force(context))
        decisions = [policy.decide(call, context) for policy in policies]
        nothing = Decision(Verdict("allow", guard=self.name))
        return max(decisions, key=lambda one: _STRICTNESS[one.verdict.action], default=nothing)

    def narrowed(self, policy: Policy) -> Privilege:
        """The same with one more policy that must also allow: nothing blocked before is allowed after."""
        return Privilege((*self.policies, policy))


def _unfit(when: Mapping[str, Json], arguments: Mapping[str, Json], *, absent_fits: bool) -> str | None:
    """The first condition that arguments do not fit, in words."""
    for name, schema in when.items():
        if name not in arguments:
            if not absent_fits:
                return f"argument {name!r} is missing"
            continue
        violation = first_violation(arguments[name], schema) if isinstance(schema, dict) else None
        if violation or schema is False:
            return f"argument {name!r}: {violation or 'no value is allowed'}"
    return None


def _is_due(update: Update, context: GuardContext) -> bool:
    if any(update.after in {name, "*"} for name in context.nested):
        return True
    calls = (answer.call for answer in answers(context.messages) if update.after in {answer.call.name, "*"})
    return any(_unfit(update.when, call.arguments, absent_fits=True) is None for call in calls)
