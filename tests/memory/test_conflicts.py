"""Principles that contradict each other: who gives way, and what is said of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from memory.types import Constitution, Draft, Dropped, PrincipleBody

Saying = Any


def rule(say: Saying, text: str, family: str | None = None) -> Draft:
    draft: Draft = say.principle(text)
    if family is None:
        return draft
    return replace(draft, scope="family", family=family, body=PrincipleBody("family", "symbolic"))


@pytest.fixture
def chosen(say: Saying, count_tokens: Any) -> Callable[[str | None], Constitution]:
    def choose(family: str | None) -> Constitution:
        found: Constitution = say.memory.constitution(
            "home", family, token_budget=99, count_tokens=count_tokens
        )
        return found

    return choose


@pytest.mark.parametrize(
    ("wide", "narrow"),
    [
        ("open the fridge.", "Do not open the fridge"),
        ("never open the fridge", "always open the fridge"),
        ("don't open a fridge", "open the fridge"),
        ("wipe feet before you go in.", "go in before you wipe feet."),
        ("do not heat egg before you wash egg.", "heat egg before you wash egg."),
    ],
)
def test_the_narrower_scope_wins(say: Saying, chosen: Any, wide: str, narrow: str) -> None:
    """There alone; elsewhere the wider one stands. The loser is named with the reason."""
    general, here = say.remember(rule(say, wide), rule(say, narrow, "maple 7"))
    found = chosen("maple 7")
    assert [item.id for item in found.principles] == [here.id]
    assert found.dropped == (Dropped(general.id, "conflict", here.id),)
    assert [item.id for item in chosen("oak 2").principles] == [general.id]


def test_in_one_scope_the_first_in_order_wins(say: Saying, chosen: Any) -> None:
    """Here the one with more support."""
    weak = rule(say, "open the fridge")
    strong = replace(rule(say, "do not open the fridge"), body=PrincipleBody("global", "neural", 9))
    weak_item, strong_item = say.remember(weak, strong)
    assert chosen(None).dropped == (Dropped(weak_item.id, "conflict", strong_item.id),)


def test_a_pinned_principle_never_gives_way(say: Saying, chosen: Any) -> None:
    """Not to a narrower one either: so an operator makes a rule hold everywhere."""
    general, here = say.remember(rule(say, "do not open the safe"), rule(say, "open the safe", "maple 7"))
    say.memory.edit("home", general.id, pinned=True, principal="root", channel="operator")
    assert chosen("maple 7").dropped == (Dropped(here.id, "conflict", general.id),)


def test_what_does_not_meet_or_contradict_stays(say: Saying, chosen: Any, count_tokens: Any) -> None:
    """Other families, other things, the same said twice; and people see everything."""
    say.remember(
        rule(say, "open the fridge", "maple 7"),
        rule(say, "do not open the fridge", "oak 2"),
        rule(say, "do not open the oven", "maple 7"),
        rule(say, "do not open the oven"),
        rule(say, "wipe feet before you go in", "maple 7"),
        rule(say, "wipe feet before you eat", "maple 7"),
    )
    assert (len(chosen("maple 7").principles), chosen("maple 7").dropped) == (5, ())
    every = say.memory.constitution(
        "home", None, token_budget=99, count_tokens=count_tokens, every_family=True
    )
    assert (len(every.principles), every.dropped) == (6, ())
