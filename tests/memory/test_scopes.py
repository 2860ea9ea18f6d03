"""What holds for all is read everywhere and written by operators; runs and teams see their own alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from memory.core import Memory
from memory.errors import BadInput, Denied, NotFound
from memory.types import GLOBAL, Draft, Item, PrincipleBody, ToolBody

Saying = Any


def for_all(memory: Memory, *drafts: Draft) -> tuple[Item, ...]:
    shared = [replace(draft, scope="global") for draft in drafts]
    return memory.remember(GLOBAL, shared, principal="root", channel="operator")


def test_what_holds_for_all_is_recalled_everywhere(memory: Memory, say_to: Callable[..., Saying]) -> None:
    """Beside a namespace's own items, ranked with them, and nowhere as its own."""
    here, there = say_to(memory, "here"), say_to(memory, "there")
    here.remember(here.case("the mug is in cabinet 3"))
    (shared,) = for_all(memory, here.case("every mug is washed by hand"))
    assert {hit.item.text for hit in here.recall("mug").hits} == {
        "the mug is in cabinet 3",
        "every mug is washed by hand",
    }
    assert [hit.item for hit in there.recall("mug").hits] == [shared]
    assert there.memory.items("there") == ()
    assert memory.get("there", shared.id) == shared
    assert [hit.item for hit in say_to(memory, GLOBAL).recall("mug").hits] == [shared]


def test_principles_for_all_are_in_every_constitution(
    memory: Memory, say_to: Callable[..., Saying], count_tokens: Callable[[str], int]
) -> None:
    """With the namespace's own."""
    here = say_to(memory, "here")
    here.remember(here.principle("ask before buying"))
    shared = Draft("principle", "never lie", PrincipleBody("global", "operator"))
    for_all(memory, shared)

    def rules(namespace: str) -> set[str]:
        found = memory.constitution(namespace, None, token_budget=99, count_tokens=count_tokens)
        return {item.text for item in found.principles}

    assert rules("here") == {"ask before buying", "never lie"}
    assert rules("there") == rules(GLOBAL) == {"never lie"}


def test_only_operators_write_for_all(memory: Memory, say_to: Callable[..., Saying]) -> None:
    """Any other channel is denied, by every call that writes, and no scope slips in or out."""
    say = say_to(memory, GLOBAL)
    case = replace(say.case("the mug is in cabinet 3"), scope="global")
    (item,) = for_all(memory, case)
    eve: dict[str, Any] = {"principal": "eve", "channel": "user"}
    for call in (
        lambda: memory.remember(GLOBAL, [case], **eve),
        lambda: memory.edit(GLOBAL, item.id, text="no", **eve),
        lambda: memory.forget(GLOBAL, item.id, principal="eve"),
        lambda: memory.undo(GLOBAL, 1, principal="eve"),
        lambda: memory.record(say.episode("e1"), principal="eve"),
        lambda: memory.reinforce(say.episode("e1"), principal="eve"),
        lambda: memory.feedback(GLOBAL, "e1", principal="eve", reward=1.0),
    ):
        with pytest.raises(Denied, match=r"'\*'"):
            call()
    root: dict[str, Any] = {"principal": "root", "channel": "operator"}
    with pytest.raises(BadInput, match="scope 'global'"):
        memory.remember("home", [case], **root)
    with pytest.raises(BadInput, match="scope 'namespace'"):
        memory.remember(GLOBAL, [replace(case, scope="namespace")], **root)
    with pytest.raises(NotFound):
        memory.edit("home", item.id, text="mine", **root)
    assert memory.get(GLOBAL, item.id) == item
    assert memory.forget(GLOBAL, item.id, **root).status == "retired"
    assert say_to(memory, "home").recall("mug").candidates == ()


def test_a_replay_sees_what_held_for_all_then(
    memory: Memory, say_to: Callable[..., Saying], count_tokens: Callable[[str], int]
) -> None:
    """Also when both have changed since: one log position tells of both."""
    say = say_to(memory, "home")
    say.remember(say.case("the mug is in cabinet 3"))
    (shared,) = for_all(memory, say.case("every mug is washed by hand"))
    recall = say.recall("where is the mug")
    assert len(recall.hits) == 2
    change: dict[str, Any] = {"principal": "root", "channel": "operator"}
    memory.edit(GLOBAL, shared.id, text="every mug is broken", **change)
    for_all(memory, say.case("mug mug mug"))
    say.remember(say.case("the mug is in cabinet 4"))
    assert memory.replay(recall.record(), count_tokens=count_tokens) == recall
    assert len(say.recall("where is the mug").hits) == 4


def test_runs_and_teams_see_their_own(say: Saying) -> None:
    """And what is for the whole namespace; another run, another team or nobody does not."""
    for scope, name in (("run", "r1"), ("team", "t1")):
        case = say.case(f"the mug of the {scope} is in cabinet 3")
        say.remember(replace(case, scope=scope, audience=name))
    say.remember(say.case("the mug is in the sink"))

    def found(**asked: str) -> set[str]:
        return {hit.item.scope for hit in say.recall("where is the mug", **asked).candidates}

    assert found(run="r1", team="t1") == {"run", "team", "namespace"}
    assert found(run="r1") == {"run", "namespace"}
    assert found(team="t1", run="r2") == {"team", "namespace"}
    assert found() == found(run="t1", team="r1") == {"namespace"}


def test_a_tool_for_all_is_found_by_its_kind(memory: Memory, say_to: Callable[..., Saying]) -> None:
    """Every kind may hold for all."""
    body = ToolBody("add", "adds two numbers", {"type": "object"}, "def add(a, b): return a + b")
    (tool,) = for_all(memory, Draft("tool", "adds two numbers", body))
    recall = say_to(memory, "home").recall("adds two numbers", kinds=("tool",))
    assert [hit.item for hit in recall.hits] == [tool]
