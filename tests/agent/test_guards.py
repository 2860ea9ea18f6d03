"""What calls may do and how much: truth tables of privileges, laws of narrowing, quotas."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.guards.files import dump_policy, load_policy, load_quota, read_policy
from agent.guards.privilege import Policy, Privilege, Rule, Update
from agent.guards.quota import Quota
from agent.types import Action, GuardContext, Spent
from memory.errors import BadInput
from memory.types import Json, Message, ToolCall, Usage


def call(name: str = "send", **arguments: Json) -> ToolCall:
    return ToolCall("c", name, arguments)


def context(trust: int = 3, messages: tuple[Message, ...] = (), spent: Spent | None = None) -> GuardContext:
    return GuardContext(messages, spent or Spent(), trust)


def action(policy: Policy, made: ToolCall, trust: int = 3) -> Action:
    return Privilege((policy,)).check(made, context(trust)).action


ALLOW = Rule("send", "allow")
FORBID = Rule("send", "forbid")
TO_ANN: dict[str, Json] = {"to": {"enum": ["ann"]}}


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        ((), "block"),
        ((ALLOW,), "allow"),
        ((FORBID,), "block"),
        ((ALLOW, FORBID), "block"),
        ((FORBID, ALLOW), "block"),
        ((Rule("send", "allow", priority=1), FORBID), "allow"),
        ((ALLOW, Rule("send", "forbid", priority=1)), "block"),
        ((Rule("*", "allow"),), "allow"),
        ((Rule("*", "forbid", priority=200), ALLOW), "allow"),
        ((Rule("other", "allow"),), "block"),
        ((Rule("send", "forbid", fallback="stop"),), "stop"),
        ((Rule("send", "forbid", fallback="ask"),), "ask"),
    ],
)
def test_first_matching_rule_decides(rules: tuple[Rule, ...], expected: Action) -> None:
    """Lower priority numbers go first, forbid before allow at the same one, no match means no."""
    assert action(Policy(rules), call()) == expected


def test_default_and_fallback_of_the_policy_hold_where_no_rule_matches() -> None:
    """The policy says what silence means."""
    assert action(Policy(default="allow"), call()) == "allow"
    assert action(Policy(fallback="stop"), call()) == "stop"
    assert action(Policy(fallback="ask"), call()) == "ask"
    assert Privilege().check(call(), context()).action == "allow"


@pytest.mark.parametrize(
    ("effect", "missing", "arguments", "expected"),
    [
        ("allow", None, {"to": "ann"}, "allow"),
        ("allow", None, {"to": "eve"}, "block"),
        ("allow", None, {}, "block"),
        ("allow", "match", {}, "allow"),
        ("allow", "mismatch", {}, "block"),
        ("forbid", None, {"to": "ann"}, "block"),
        ("forbid", None, {"to": "eve"}, "allow"),
        ("forbid", None, {}, "block"),
        ("forbid", "match", {}, "block"),
        ("forbid", "mismatch", {}, "allow"),
    ],
)
def test_conditions_and_absent_arguments(
    effect: str, missing: str | None, arguments: dict[str, Json], expected: Action
) -> None:
    """An absent argument is read on the safe side unless the rule says otherwise."""
    rule = Rule("send", effect, when=TO_ANN, missing=missing)  # type: ignore[arg-type]
    default = "forbid" if effect == "allow" else "allow"
    assert action(Policy((rule,), default=default), call(**arguments)) == expected  # type: ignore[arg-type]


def test_all_conditions_of_a_rule_must_hold() -> None:
    """Conditions are joined by and; extra arguments are free."""
    rule = Rule("send", "allow", when={**TO_ANN, "size": {"maximum": 5}})
    assert action(Policy((rule,)), call(to="ann", size=5, subject="x")) == "allow"
    assert action(Policy((rule,)), call(to="ann", size=6)) == "block"


def test_rules_are_alternatives() -> None:
    """A rule whose condition fails leaves the word to the next one."""
    rules = (Rule("send", "allow", when=TO_ANN), Rule("send", "allow", when={"to": {"enum": ["bob"]}}))
    assert [action(Policy(rules), call(to=name)) for name in ("ann", "bob", "eve")] == [
        "allow",
        "allow",
        "block",
    ]


def test_trust_floor_closes_a_rule_when_the_context_is_tainted() -> None:
    """Below the floor the allow rule does not hold, and the reason says so."""
    policy = Policy((Rule("send", "allow", min_trust=2),))
    assert [action(policy, call(), trust) for trust in (4, 2, 1, 0)] == ["allow", "allow", "block", "block"]
    assert "trust 1" in Privilege((policy,)).check(call(), context(1)).reason


def test_refusal_names_the_violated_condition() -> None:
    """The agent can read what to change."""
    verdict = Privilege((Policy((Rule("send", "allow", when=TO_ANN),)),)).check(call(to="eve"), context())
    assert verdict.guard == "privilege"
    assert "'to'" in verdict.reason
    assert "'eve' is not one of ['ann']" in verdict.reason


def test_final_answer_needs_no_privilege() -> None:
    """An agent that may do nothing may still answer."""
    assert action(Policy(), call("finish", answer="42")) == "allow"


NAMES = st.sampled_from(["send", "read", "spawn"])
ARGUMENTS = st.dictionaries(st.sampled_from(["to", "size"]), st.sampled_from(["ann", "eve", 1, 9, None]))
SCHEMAS = st.sampled_from([{"enum": ["ann"]}, {"type": "integer"}, {"maximum": 5}, {"type": "string"}])
RULES = st.builds(
    Rule,
    tool=NAMES | st.just("*"),
    effect=st.sampled_from(["allow", "forbid"]),
    when=st.dictionaries(st.sampled_from(["to", "size"]), SCHEMAS, max_size=2),
    priority=st.integers(1, 3),
    missing=st.sampled_from([None, "match", "mismatch"]),
    min_trust=st.integers(0, 4),
    fallback=st.sampled_from([None, "message", "ask", "stop"]),
    floors=st.dictionaries(st.sampled_from(["to", "size"]), st.integers(0, 4), max_size=1),
)
POLICIES = st.builds(
    Policy,
    st.lists(RULES, max_size=4).map(tuple),
    st.sampled_from(["allow", "forbid"]),
    st.sampled_from(["message", "ask", "stop"]),
)
CALLS = st.builds(ToolCall, st.just("c"), NAMES, ARGUMENTS)
STRICT = {"allow": 0, "ask": 1, "block": 2, "stop": 3}


@given(st.lists(POLICIES, max_size=3), POLICIES, CALLS, st.integers(0, 4))
def test_narrowing_never_allows_more(
    policies: list[Policy], update: Policy, made: ToolCall, trust: int
) -> None:
    """Whatever is added, no verdict becomes milder."""
    before = Privilege(tuple(policies))
    first, then = (p.check(made, context(trust)).action for p in (before, before.narrowed(update)))
    assert STRICT[then] >= STRICT[first]


@given(POLICIES, CALLS, st.integers(0, 4), st.integers(0, 4))
def test_less_trust_never_allows_more(policy: Policy, made: ToolCall, one: int, other: int) -> None:
    """As long as floors stand on allow rules, tainted context can only lose privileges."""
    rules = tuple(
        Rule(r.tool, r.effect, r.when, r.priority, r.missing) if r.effect == "forbid" else r
        for r in policy.rules
    )
    floored = Policy(rules, "forbid", policy.fallback)
    low, high = sorted((one, other))
    if action(floored, made, low) == "allow":
        assert action(floored, made, high) == "allow"


UPDATES = st.builds(Update, NAMES | st.just("*"), POLICIES, st.just({}) | st.just(TO_ANN))
PAST = st.lists(CALLS, max_size=3).map(
    lambda calls: tuple(
        message
        for index, made in enumerate(calls)
        for message in (
            Message("assistant", tool_calls=(ToolCall(f"c{index}", made.name, made.arguments),)),
            Message("tool", '{"to": "eve"}', tool_call_id=f"c{index}"),
        )
    )
)


@given(POLICIES, st.lists(UPDATES, max_size=3), CALLS, PAST, st.integers(0, 4))
def test_updates_never_allow_more(
    policy: Policy, updates: list[Update], made: ToolCall, past: tuple[Message, ...], trust: int
) -> None:
    """Whatever was called before, a policy with updates is never milder than without."""
    first, then = (
        Privilege((one,)).check(made, context(trust, past)).action
        for one in (policy, replace(policy, updates=tuple(updates)))
    )
    assert STRICT[then] >= STRICT[first]


def test_an_update_holds_from_its_call_on() -> None:
    """Not before, not when the call was refused or had other arguments; and updates have updates."""
    no_more = Update("send", Policy((Rule("send", "forbid"),), default="allow"), {"to": {"enum": ["ann"]}})
    policy = Policy(
        (Rule("send", "allow"),), updates=(Update("read", Policy(default="allow", updates=(no_more,))),)
    )

    def after(*calls: ToolCall, ok: bool | None = True) -> Action:
        said = tuple(
            message
            for at, one in enumerate(calls)
            for message in (
                Message("assistant", tool_calls=(replace(one, id=f"c{at}"),)),
                Message("tool", "x", tool_call_id=f"c{at}", ok=ok),
            )
        )
        return Privilege((policy,)).check(call(), context(messages=said)).action

    assert after() == after(call(to="ann")) == after(call("read"), call(to="bob")) == "allow"
    assert after(call("read"), call(to="ann")) == "block"
    assert after(call("read"), call(to="ann"), ok=False) == "allow"


def test_calls_from_inside_set_updates_off_too() -> None:
    """Their arguments are not known, so the narrower reading holds."""
    policy = Policy((Rule("*", "allow"),), updates=(Update("read", Policy(), {"to": {"enum": ["ann"]}}),))
    seen = replace(context(), nested=("read",))
    assert Privilege((policy,)).check(call(), context()).action == "allow"
    assert Privilege((policy,)).check(call(), seen).action == "block"


@given(POLICIES, st.lists(UPDATES, max_size=2), st.frozensets(NAMES))
def test_policies_read_back_equal(policy: Policy, updates: list[Update], stores: frozenset[str]) -> None:
    """JSON is a faithful form of every valid policy."""
    valid = replace(_valid(policy), stores=stores)
    valid = replace(valid, updates=tuple(replace(one, policy=_valid(one.policy)) for one in updates))
    assert load_policy(dump_policy(valid)) == valid


def _valid(policy: Policy) -> Policy:
    rules = tuple(
        replace(rule, min_trust=0, floors={}) if rule.effect == "forbid" else replace(rule, fallback=None)
        for rule in policy.rules
    )
    return replace(policy, rules=rules)


def test_a_policy_is_read_from_a_file(tmp_path: Path) -> None:
    """Of YAML or JSON; what is neither is refused with its name."""
    file = tmp_path / "policy.yaml"
    file.write_text(
        "rules:\n- {tool: send, effect: allow, floors: {to: 2}}\nstores: [list]\n", encoding="utf-8"
    )
    assert read_policy(file) == Policy((Rule("send", "allow", floors={"to": 2}),), stores=frozenset({"list"}))
    file.write_text(json.dumps(dump_policy(Policy())), encoding="utf-8")
    assert read_policy(file) == Policy()
    for faulty in ("rules: [", "just words"):
        file.write_text(faulty, encoding="utf-8")
        with pytest.raises(BadInput, match="policy"):
            read_policy(file)
    with pytest.raises(BadInput, match="absent"):
        read_policy(tmp_path / "absent.yaml")


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ({"rules": [{"tool": "a"}]}, "rules.0.effect"),
        ({"rules": [{"tool": "a", "effect": "permit"}]}, "rules.0.effect"),
        ({"rules": [{"tool": "a", "effect": "allow", "wehn": {}}]}, "wehn"),
        ({"rules": [{"tool": "a", "effect": "allow", "when": {"x": {"type": "mug"}}}]}, "JSON Schema"),
        ({"rules": [{"tool": "a", "effect": "forbid", "min_trust": 2}]}, "min_trust"),
        ({"rules": [{"tool": "a", "effect": "forbid", "floors": {"x": 2}}]}, "floors"),
        ({"rules": [{"tool": "a", "effect": "allow", "floors": {"x": 5}}]}, "floors.x"),
        ({"updates": [{"after": "a"}]}, "updates.0.policy"),
        ({"rules": [{"tool": "a", "effect": "allow", "fallback": "stop"}]}, "fallback"),
        ({"default": "maybe"}, "default"),
        ([], "policy"),
    ],
)
def test_faulty_policies_are_refused(data: Json, says: str) -> None:
    """A policy with a slip in it is no policy: the message points at the slip."""
    with pytest.raises(BadInput, match=says):
        load_policy(data)


def spent(steps: int = 0, tokens: int = 0, cost: float = 0.0, seconds: float = 0.0) -> Spent:
    return Spent(steps, Usage(tokens, 0, cost, 1), seconds)


@pytest.mark.parametrize(
    ("quota", "under", "at"),
    [
        (Quota(max_steps=3), spent(steps=2), spent(steps=3)),
        (Quota(max_tokens=9), spent(tokens=8), spent(tokens=9)),
        (Quota(max_cost_usd=0.5), spent(cost=0.4), spent(cost=0.5)),
        (Quota(max_seconds=2.0), spent(seconds=1.9), spent(seconds=2.0)),
    ],
)
def test_totals_stop_the_episode_when_used_up(quota: Quota, under: Spent, at: Spent) -> None:
    """Below the limit calls pass, at the limit the episode ends."""
    assert quota.check(call(), context(spent=under)).action == "allow"
    assert quota.check(call(), context(spent=at)).action == "stop"


def answered(*names: str) -> tuple[Message, ...]:
    pairs = [(ToolCall(f"c{i}", name, {}), f"c{i}") for i, name in enumerate(names)]
    return tuple(
        message
        for made, number in pairs
        for message in (Message("assistant", tool_calls=(made,)), Message("tool", "x", tool_call_id=number))
    )


def test_calls_of_one_tool_are_counted() -> None:
    """Its share used up, a tool is blocked; others are not."""
    quota = Quota(calls={"send": 2})
    assert quota.check(call(), context(messages=answered("send", "read"))).action == "allow"
    full = context(messages=answered("send", "read", "send"))
    assert quota.check(call(), full).action == "block"
    assert quota.check(call("read"), full).action == "allow"


def test_no_agent_is_started_unless_allowed() -> None:
    """The default number of spawned agents is zero, and the limit is shared by all spawning tools."""
    assert Quota().check(call("spawn"), context()).action == "block"
    two = Quota(spawns=2)
    assert two.check(call("spawn"), context(messages=answered("submit_task"))).action == "allow"
    assert two.check(call("spawn"), context(messages=answered("submit_task", "spawn"))).action == "block"


def test_agents_are_started_only_so_deep() -> None:
    """Who stands too deep starts none, whatever number is left; other calls are free."""
    for depth, action in ((0, "allow"), (1, "allow"), (2, "block"), (3, "block")):
        quota = Quota(spawns=9, depth=depth, max_depth=2)
        assert quota.check(call("submit_task"), context()).action == action
        assert quota.check(call("read"), context()).action == "allow"


def test_quota_from_json() -> None:
    """Limits are read strictly."""
    assert load_quota({"max_steps": 3, "spawn_tools": ["fork"]}) == Quota(
        max_steps=3, spawn_tools=frozenset({"fork"})
    )
    for faulty in ({"max_steps": -1}, {"max_step": 1}, {"max_steps": "3"}):
        with pytest.raises(BadInput, match="max_step"):
            load_quota(faulty)
