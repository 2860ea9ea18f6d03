"""What items and policies add: decisions by evidence, ranks by values drawn to what is usual."""

from __future__ import annotations

import math
from dataclasses import replace
from random import Random

import pytest

from memory.types import Lift
from memory.value.lift import BAR, Choice, Toss, Verdict, lift_of, policy_lift, shrunken, verdict

FAMILY = {"a": "x", "b": "x", "c": "x", "d": "y"}


def tosses(n: int, shown: float, held: float, *, p: float = 0.5, seed: int = 0) -> list[Toss]:
    random = Random(seed)
    made = []
    for _ in range(n):
        is_shown = random.random() < p
        reward = float(random.random() < (shown if is_shown else held))
        made.append(Toss(is_shown, p, reward, (shown + held) / 2))
    return made


def first_word(stream: list[Toss], arrival: int = 1) -> tuple[Verdict, int]:
    """The first verdict that is not to wait, and after how many episodes."""
    for n in range(1, len(stream) + 1):
        word = verdict(lift_of(stream[:n]), arrival)
        if word != "wait":
            return word, n
    return "wait", len(stream)


def test_a_lift_by_hand() -> None:
    """Shown with 1, held out with 0, both where 1/2 was expected."""
    lift = lift_of([Toss(True, 0.5, 1.0), Toss(False, 0.5, 0.0), Toss(True, 0.8, 0.5)], test=2)
    assert (lift.n, lift.n_held, lift.test) == (3, 1, 2)
    assert lift.mean == pytest.approx(2 / 3)
    assert lift.variance == pytest.approx(1 / 3)
    assert lift.log_up > 0.0 > lift.log_down


def test_no_episodes_no_lift() -> None:
    """Nothing is known, so nothing is decided."""
    assert lift_of([], test=1) == Lift(test=1)
    assert verdict(None, 1) == verdict(Lift(), 1) == "wait"


def test_planted_items_are_told_apart() -> None:
    """What helps is promoted, what harms retired, what does neither is given up after 200 episodes."""
    words: list[Verdict] = []
    for shown, held in ((0.7, 0.2), (0.2, 0.7), (0.5, 0.5)):
        found = [first_word(tosses(220, shown, held, seed=seed)) for seed in range(20)]
        words.append(max({word for word, _ in found}, key=[word for word, _ in found].count))
        assert sum(word == words[-1] for word, _ in found) >= 18
    assert words == ["promote", "retire", "futile"]


def test_later_trials_need_more() -> None:
    """Of many trials one looks good by luck."""
    stream = tosses(220, 0.7, 0.2)
    first, tenth = first_word(stream, 1), first_word(stream, 10)
    assert (first[0], tenth[0]) == ("promote", "promote")
    assert first[1] < tenth[1]


def test_the_bar_is_met_exactly() -> None:
    """Log 40 for the first trial, log 20 for harm, 200 episodes of patience."""
    assert verdict(Lift(n=9, log_up=math.log(40) + 1e-9), 1) == "promote"
    assert verdict(Lift(n=9, log_up=math.log(40) - 1e-9), 1) == "wait"
    assert verdict(Lift(n=9, log_down=math.log(20) + 1e-9), 7) == "retire"
    assert verdict(Lift(n=199), 1) == "wait"
    assert verdict(Lift(n=200), 1) == "futile"
    assert verdict(Lift(n=50), 1, replace(BAR, patience=50)) == "futile"


def test_an_unknown_item_is_what_its_family_is() -> None:
    """Exactly, and a family without episodes is what the namespace is."""
    known = Lift(n=50, mean=0.3, variance=1.0)
    found = shrunken({"a": known, "b": replace(known, mean=0.1), "c": None, "d": Lift()}, FAMILY)
    assert found["b"] < found["c"] < found["a"]
    assert 0.0 < found["d"] < found["c"]
    assert shrunken({"a": None, "d": None}, FAMILY) == {"a": 0.0, "d": 0.0}


def test_an_item_stands_for_itself_the_more_the_longer() -> None:
    """From the family's value to its own, without turning."""
    others = {"b": Lift(n=40, mean=0.0, variance=1.0), "c": Lift(n=40, mean=0.05, variance=1.0)}
    values = [
        shrunken({"a": Lift(n=n, mean=0.5, variance=1.0), **others}, FAMILY)["a"]
        for n in (1, 3, 10, 30, 100, 1000, 10**7)
    ]
    assert values == sorted(values)
    assert values[0] < 0.2
    assert values[-1] == pytest.approx(0.5, abs=1e-3)


def test_one_lucky_episode_does_not_lead() -> None:
    """It is taken for what the others are, however large; a hundred episodes are believed."""
    others = {"b": Lift(n=100, mean=0.1, variance=0.9), "c": Lift(n=100, mean=0.0, variance=0.9)}
    lucky = shrunken({"a": Lift(n=1, mean=10.0), **others}, FAMILY)
    steady = shrunken({"a": Lift(n=100, mean=0.4, variance=0.9), **others}, FAMILY)
    assert lucky["a"] < 0.1 < 0.3 < steady["a"]


def test_policies_are_compared_by_the_episodes_that_might_have_had_either() -> None:
    """Three policies; what the third brings says nothing of the two."""
    random = Random(1)
    chances = {"cosine": 0.5, "per_case": 0.3, "neural": 0.2}
    worth = {"cosine": 0.3, "per_case": 0.7, "neural": 0.5}
    names = random.choices(list(chances), list(chances.values()), k=400)
    choices = [Choice(name, chances, float(random.random() < worth[name]), 0.5) for name in names]
    lift = policy_lift(choices, "per_case", "cosine")
    error = math.sqrt(lift.variance / lift.n)
    assert lift.n == 400
    assert lift.n_held == names.count("cosine")
    assert lift.mean == pytest.approx(0.4, abs=3 * error)
    assert verdict(lift, 1) == "promote"
    assert policy_lift([Choice("cosine", {"cosine": 1.0}, 1.0)], "per_case", "cosine").n == 0
