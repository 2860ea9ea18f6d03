"""Which principles an episode is shown, and what is recorded of the coins."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from memory.constitution.draw import PROVEN, Chances, draw
from memory.errors import BadInput
from memory.types import Constitution, PrincipleBody, Status

Saying = Any


def rules(say: Saying, count_tokens: Any, *statuses: Status, budget: int = 999) -> Constitution:
    say.remember(
        *(replace(say.principle(f"rule number {n}"), status=status) for n, status in enumerate(statuses))
    )
    found: Constitution = say.memory.constitution(
        "home", None, token_budget=budget, count_tokens=count_tokens
    )
    return found


def test_by_default_nothing_is_left_to_chance(say: Saying, count_tokens: Any) -> None:
    """All are shown, on trial or not, and recorded as certain."""
    found = rules(say, count_tokens, "trial", "active")
    shown, drawn = draw(found, 7, Chances())
    assert shown is found
    assert [(one.item, one.version, one.propensity, one.shown) for one in drawn] == [
        (item.id, 1, 1.0, True) for item in found.principles
    ]


def test_each_episode_tosses_its_own_coins(say: Saying, count_tokens: Any) -> None:
    """Trials are shown as often as their rate says, active ones unless they are dropped."""
    found = rules(say, count_tokens, "trial", "active")
    by_status = {item.id: item.status for item in found.principles}
    n, counts = 2_000, {"trial": 0, "active": 0}
    both = 0
    for seed in range(n):
        shown, drawn = draw(found, seed, Chances(trial_rate=0.8, drop_rate=0.3))
        assert {one.item: one.propensity for one in drawn} == {
            id_: 0.8 if status == "trial" else 0.7 for id_, status in by_status.items()
        }
        assert [one.item for one in drawn if one.shown] == [item.id for item in shown.principles]
        for item in shown.principles:
            counts[item.status] += 1
        both += len(shown.principles) == 2
    for count, rate in ((counts["trial"], 0.8), (counts["active"], 0.7), (both, 0.56)):
        assert abs(count - rate * n) < 4 * (n * rate * (1 - rate)) ** 0.5


def test_the_same_seed_draws_the_same(say: Saying, count_tokens: Any) -> None:
    """A resumed episode is shown what it was shown; another shown set is another version."""
    found = rules(say, count_tokens, "trial", "trial", "trial")
    chances = Chances(trial_rate=0.5)
    draws = [draw(found, seed, chances) for seed in range(20)]
    assert draws == [draw(found, seed, chances) for seed in range(20)]
    assert len({shown.version for shown, _ in draws}) > 3


def test_a_held_out_principle_keeps_its_place_in_the_budget(say: Saying, count_tokens: Any) -> None:
    """What did not fit beside it does not come in for it."""
    found = rules(say, count_tokens, "trial", "trial", budget=4)
    assert (len(found.principles), len(found.dropped)) == (1, 1)
    shown, drawn = draw(found, 1, Chances(trial_rate=0.0))
    assert shown.principles == ()
    assert [one.item for one in drawn] == [found.principles[0].id]


def test_pinned_and_shared_principles_are_always_shown(say: Saying, count_tokens: Any) -> None:
    """Whatever the coins; a namespace keeps no statistics of what all namespaces share."""
    (own,) = say.remember(replace(say.principle("look first"), status="trial"))
    say.memory.edit("home", own.id, pinned=True, principal="root", channel="operator")
    shared = replace(say.principle("be polite"), scope="global", body=PrincipleBody("global", "operator"))
    say.memory.remember("*", [shared], principal="root", channel="operator")
    found = say.memory.constitution("home", None, token_budget=99, count_tokens=count_tokens)
    shown, drawn = draw(found, 3, Chances(trial_rate=0.0, drop_rate=1.0))
    assert len(shown.principles) == 2
    assert {one.propensity for one in drawn} == {1.0}


def test_prompts_that_must_not_vary_have_proven_principles_alone(say: Saying, count_tokens: Any) -> None:
    """Trials are out of the question, which is recorded as probability 0."""
    found = rules(say, count_tokens, "trial", "active")
    shown, drawn = draw(found, 3, PROVEN)
    assert [item.status for item in shown.principles] == ["active"]
    assert sorted((one.propensity, one.shown) for one in drawn) == [(0.0, False), (1.0, True)]


def test_the_record_names_the_shown_and_the_drawn(say: Saying, count_tokens: Any) -> None:
    """Ids with versions of what stood in the prompt, and every coin."""
    found = rules(say, count_tokens, *(["trial"] * 6))
    shown, drawn = draw(found, 11, Chances(trial_rate=0.5))
    record = say.recall("mug").record(shown, drawn)
    assert record.constitution == tuple(f"{item.id}@1" for item in shown.principles)
    assert record.principles == drawn
    assert {one.item for one in drawn if not one.shown}


@pytest.mark.parametrize("rate", [-0.1, 1.5])
def test_a_chance_is_a_probability(rate: float) -> None:
    """Anything else is refused."""
    with pytest.raises(BadInput, match="between 0 and 1"):
        Chances(trial_rate=rate)
