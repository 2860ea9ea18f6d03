"""Utility statistics: running values, late corrections, shrinking."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memory.types import Episode, Message, Utility
from memory.value.means import held_out, prior_mean, revalued, reward_of, shown, shrunken, withdrawn

rewards = st.lists(st.floats(0.0, 1.0), min_size=1, max_size=30)


def after(rewards: list[float]) -> Utility:
    utility = Utility()
    for reward in rewards:
        utility = shown(utility, reward, 0.0)
    return utility


@given(rewards, st.floats(0.0, 1.0), st.data())
def test_a_late_reward_counts_as_if_it_had_been_known(
    rewards: list[float], new: float, data: st.DataObject
) -> None:
    """Re-valuing the j-th reward gives what the corrected sequence would have given."""
    j = data.draw(st.integers(0, len(rewards) - 1))
    corrected = revalued(after(rewards), j + 1, rewards[j], new)
    expected = after([*rewards[:j], new, *rewards[j + 1 :]])
    assert corrected.q == pytest.approx(expected.q, abs=1e-9)
    assert corrected.reward_sum == pytest.approx(expected.reward_sum, abs=1e-9)
    assert corrected.n == expected.n


@given(st.lists(st.floats(0.0, 1.0), min_size=1, max_size=5))
def test_few_rewards_are_averaged(rewards: list[float]) -> None:
    """Up to 1 / step size uses the running value is the plain mean."""
    assert after(rewards).q == pytest.approx(sum(rewards) / len(rewards), abs=1e-9)


@given(rewards)
def test_the_newest_reward_taken_back_leaves_the_others(rewards: list[float]) -> None:
    """An outcome that turns out unknown leaves no trace."""
    undone = withdrawn(after([*rewards, 0.25]), len(rewards) + 1, 0.25)
    assert undone.q == pytest.approx(after(rewards).q, abs=1e-9)
    assert undone.n == len(rewards)


def test_held_out_rewards_are_counted_apart() -> None:
    """They are the control group of the shown ones."""
    utility = held_out(held_out(Utility(), 1.0), 0.0)
    assert (utility.n, utility.held_out_n, utility.held_out_reward_sum) == (0, 2, 1.0)
    assert revalued(utility, 0, 0.0, 1.0).held_out_reward_sum == 2.0
    assert withdrawn(utility, 0, 1.0).held_out_n == 1


@given(st.integers(1, 50), st.floats(0.0, 1.0), st.floats(0.0, 1.0))
def test_more_uses_bring_the_value_nearer_to_what_was_seen(n: int, q: float, prior: float) -> None:
    """A fresh item has the prior, a much used one its own value."""
    few, many = shrunken(Utility(n=n, q=q), prior), shrunken(Utility(n=2 * n, q=q), prior)
    assert shrunken(Utility(), prior) == pytest.approx(prior)
    assert abs(many - q) <= abs(few - q) + 1e-12


def test_a_new_item_is_taken_for_an_average_one() -> None:
    """The prior follows the items around it."""
    good = after([1.0] * 20)
    assert prior_mean([good]) > 0.9
    assert prior_mean([Utility()]) == 0.5


EPISODE = Episode("e", "n", "t", "t", "w", "f", "g", (Message("user"),), "success")


@pytest.mark.parametrize(
    ("outcome", "reward", "expected"),
    [
        ("success", None, 1.0),
        ("failure", None, 0.0),
        ("success", 0.4, 0.4),
        ("failure", 7.0, 1.0),
        ("success", -3.0, 0.0),
        ("unknown", 1.0, None),
        ("infra", 1.0, None),
    ],
)
def test_only_known_outcomes_teach(outcome: str, reward: float | None, expected: float | None) -> None:
    """Rewards are clipped to 0..1; unknown and infra give none."""
    episode = replace(EPISODE, outcome=outcome, reward=reward)  # type: ignore[arg-type]
    assert reward_of(episode) == expected
