"""Returns, values and advantages of steps."""

from __future__ import annotations

import itertools
import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memory.value.steps import (
    GAMMA,
    Step,
    StepSettings,
    credited,
    is_bad,
    joint_advantage,
    local_advantages,
    returns,
    state_value,
    worths,
)

steps = st.lists(
    st.builds(
        Step,
        near=st.floats(-1.0, 1.0),
        action=st.sampled_from("abc"),
        worth=st.floats(0.0, 1.0),
        episode=st.text("xyz", min_size=3, max_size=6),
        message=st.integers(0, 20),
    ),
    min_size=1,
    max_size=12,
)


def test_a_reward_counts_less_the_further_away_it_is() -> None:
    """The last act has it in full."""
    assert returns(3, 1.0) == pytest.approx((0.81, 0.9, 1.0))
    assert returns(2, 0.5, gamma=0.5) == (0.25, 0.5)
    assert returns(0, 1.0) == ()


def test_a_failure_is_blamed_on_its_errors_alone() -> None:
    """Where they are known; what was right keeps silent, and so does what came too late to help."""
    assert credited(3, 0.0, {0: "ok", 1: "error"}) == (None, 0.0, None)
    assert credited(3, 0.0, {0: "ok"}) == (0.0, 0.0, 0.0)
    assert credited(3, 1.0, {1: "error"}, gamma=0.5) == (0.25, 0.5, 1.0)


def test_values_and_advantages_by_hand() -> None:
    """Two actions right here: the state's value is the mean, each action's is drawn to it by two entries."""
    near = [Step(1.0, "open", 1.0, "e1"), Step(1.0, "open", 0.6, "e2"), Step(1.0, "go", 0.2, "e3")]
    assert state_value(near) == pytest.approx(0.6)
    best, worst = worths(near)
    assert (best.action, best.n, len(best.steps)) == ("open", 2.0, 2)
    assert best.value == pytest.approx((1.6 + 1.2) / 4.0)
    assert best.advantage == pytest.approx(0.1)
    assert worst.advantage == pytest.approx((0.2 + 1.2) / 3.0 - 0.6)


def test_an_action_is_bad_when_it_failed_here_more_than_once() -> None:
    """Once is no reason, and failing elsewhere is none either."""
    good = [Step(1.0, "go", 1.0, f"g{n}") for n in range(3)]
    once, twice = [Step(1.0, "open", 0.0, "b0")], [Step(1.0, "open", 0.0, f"b{n}") for n in range(2)]
    elsewhere = [Step(0.3, "open", 0.0, f"b{n}") for n in range(9)]

    def bad(steps: list[Step]) -> list[str]:
        return [worth.action for worth in worths([*good, *steps]) if is_bad(worth)]

    assert (bad(once), bad(twice), bad(elsewhere)) == ([], ["open"], [])


@given(steps, st.randoms(use_true_random=False))
def test_worths_do_not_hang_on_the_order(steps: list[Step], chance: random.Random) -> None:
    """Nor do they leave the range of what was seen."""
    unlike = {(step.near, step.episode, step.message): step for step in steps}
    known = list(unlike.values())
    found = worths(known)
    assert worths(chance.sample(known, len(known))) == found
    low, high = min(step.worth for step in known), max(step.worth for step in known)
    assert all(low - 1e-9 <= one.value <= high + 1e-9 for one in found)
    assert [one.value for one in found] == sorted((one.value for one in found), reverse=True)


@given(st.lists(st.floats(-5.0, 5.0), min_size=2, max_size=6))
def test_what_each_adds_is_together_what_all_add(values: list[float]) -> None:
    """The lemma of sequential advantages."""
    assert math.fsum(local_advantages(values)) == pytest.approx(values[-1] - values[0], abs=1e-9)


def test_waiting_adds_nothing() -> None:
    """Doing nothing leaves the state: Q(s, wait) = γ V(s)."""
    assert joint_advantage(0.7, GAMMA * 0.7) == pytest.approx(0.0)


MOVES = (-1, 0, 1)
CELLS, GOALS = 5, (0, 4)


def exact() -> dict[tuple[int, int], float]:
    """Values of a corridor in which two agents must reach their ends at once, by iteration."""
    states = list(itertools.product(range(CELLS), repeat=2))
    value = dict.fromkeys(states, 0.0)
    for _ in range(50):
        value = {
            state: max(quality(value, state, pair) for pair in itertools.product(MOVES, repeat=2))
            for state in states
        }
    return value


def after(state: tuple[int, int], moves: tuple[int, int]) -> tuple[int, int]:
    left, right = (min(CELLS - 1, max(0, at + move)) for at, move in zip(state, moves, strict=True))
    return left, right


def quality(value: dict[tuple[int, int], float], state: tuple[int, int], moves: tuple[int, int]) -> float:
    there = after(state, moves)
    return 1.0 if there == GOALS else GAMMA * value[there]


def test_refusing_bad_proposals_raises_the_return() -> None:
    """Two agents propose at random; asking again below the gate brings them home sooner, the more often the
    better, and the parts of the advantage sum up to the whole.
    """
    value, chance = exact(), random.Random(3)

    def lived(rounds: int) -> float:
        state, earned = (4, 0), 1.0
        while state != GOALS and earned > 1e-3:
            for _ in range(1 + rounds):
                moves = (chance.choice(MOVES), chance.choice(MOVES))
                prefixes = [
                    value[state],
                    max(quality(value, state, (moves[0], other)) for other in MOVES),
                    quality(value, state, moves),
                ]
                local = local_advantages(prefixes)
                assert math.fsum(local) == pytest.approx(quality(value, state, moves) - value[state])
                if sum(local) > -1e-9:
                    break
            state, earned = after(state, moves), earned * GAMMA
        return earned if state == GOALS else 0.0

    means = [math.fsum(lived(rounds) for _ in range(200)) / 200 for rounds in (0, 2, 10)]
    assert means[0] < means[1] < means[2]


def test_values_approach_the_exact_ones_with_data() -> None:
    """States as points on a circle: near ones are worth about the same."""
    chance = random.Random(5)

    def error(n: int) -> float:
        seen = [chance.random() for _ in range(n)]
        worth = [0.5 + 0.5 * math.sin(at) + chance.gauss(0.0, 0.2) for at in seen]
        asked = [place / 20 for place in range(1, 20)]
        settings = StepSettings(width=0.002)
        gaps = [
            abs(
                state_value(
                    [Step(math.cos(at - place), "a", one) for at, one in zip(seen, worth, strict=True)],
                    settings,
                )
                - (0.5 + 0.5 * math.sin(place))
            )
            for place in asked
        ]
        return math.fsum(gaps) / len(gaps)

    assert error(2000) < error(20) / 2
