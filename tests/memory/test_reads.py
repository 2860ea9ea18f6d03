"""Read policies by hand, and the laws they keep."""

from __future__ import annotations

import math
import random
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memory.errors import BadInput
from memory.types import ReadName, Utility
from memory.value.reads import (
    READS,
    Memo,
    ReadSettings,
    Seen,
    drawn,
    kernel,
    near_mean,
    soft_value,
)

POLICIES: tuple[ReadName, ...] = ("cosine", "per_case", "episodic", "lift")
values = st.lists(st.floats(-1.0, 1.0), min_size=1, max_size=12)
memos = st.lists(
    st.builds(
        Memo,
        near=st.floats(-1.0, 1.0),
        reward=st.floats(0.0, 1.0),
        centre=st.floats(0.0, 1.0),
        shown=st.booleans(),
        propensity=st.floats(0.1, 0.9) | st.just(1.0),
    ),
    max_size=8,
)
MEMOS = (Memo(1.0, 1.0), Memo(0.9, 0.0), Memo(0.8, 1.0))


def order(seen: dict[str, Seen], policy: ReadName) -> str:
    settings = ReadSettings(policy)
    worth = {name: READS[policy](one, settings) for name, one in seen.items()}
    return "".join(sorted(worth, key=lambda name: -worth[name]))


def test_episodic_control_is_the_mean_of_near_episodes_drawn_to_the_family() -> None:
    """Eq. 9 with the kernel exp((cos - 1) / τ), and two entries of the family's value."""
    seen = Seen(Utility(), 0.5, MEMOS, prior=0.25)
    e = math.exp
    bare = (1.0 + e(-2.0)) / (1.0 + e(-1.0) + e(-2.0))
    assert READS["episodic"](seen, ReadSettings(prior_n=0.0)) == pytest.approx(bare)
    drawn_to = (1.0 + e(-2.0) + 2.0 * 0.25) / (1.0 + e(-1.0) + e(-2.0) + 2.0)
    assert READS["episodic"](seen, ReadSettings()) == pytest.approx(drawn_to)


def test_without_entries_the_family_speaks() -> None:
    """Whatever the constants; a held-out episode says nothing of what showing brings."""
    for settings in (ReadSettings(), ReadSettings(prior_n=0.0)):
        assert READS["episodic"](Seen(Utility(), prior=0.3), settings) == 0.3
        assert (
            READS["episodic"](Seen(Utility(), memos=(Memo(1.0, 1.0, shown=False),), prior=0.3), settings)
            == 0.3
        )
        assert READS["lift"](Seen(Utility(), lift=-0.1), settings) == -0.1


def test_the_lift_weighs_shown_and_held_out_by_their_coins() -> None:
    """(R - b) (A / p - (1 - A) / (1 - p)), by the kernel; episodes without a coin say nothing."""
    tossed = (
        Memo(1.0, 1.0, centre=0.5, shown=True, propensity=0.8),
        Memo(1.0, 1.0, centre=0.75, shown=False, propensity=0.8),
        Memo(1.0, 0.0, centre=0.5),
    )
    own = 0.5 / 0.8 - 0.25 / 0.2
    assert READS["lift"](Seen(Utility(), memos=tossed, lift=0.1), ReadSettings()) == pytest.approx(
        (own + 2.0 * 0.1) / 4.0
    )


def test_policies_order_the_same_candidates_differently() -> None:
    """A is nearest, b has the best past, c the best past near here, d gains by being shown."""
    half = {"shown": False, "propensity": 0.5}
    seen = {
        "a": Seen(Utility(), 0.9),
        "b": Seen(Utility(n=8, q=0.9), 0.5, (Memo(0.2, 1.0), Memo(1.0, 0.4))),
        "c": Seen(Utility(n=8, q=0.6), 0.6, (Memo(1.0, 1.0), Memo(1.0, 1.0), Memo(0.1, 0.0))),
        "d": Seen(Utility(n=8, q=0.3), 0.4, (Memo(1.0, 0.4, propensity=0.5), Memo(1.0, 0.0, **half))),
    }
    orders = {policy: order(seen, policy) for policy in ("cosine", "per_case", "episodic", "lift")}
    assert orders == {"cosine": "acbd", "per_case": "bcad", "episodic": "cabd", "lift": "dabc"}


def test_a_critic_must_have_been_fitted() -> None:
    """The message says how."""
    with pytest.raises(BadInput, match=r"distill\.critic"):
        READS["neural"](Seen(Utility()), ReadSettings("neural"))
    assert READS["neural"](Seen(Utility(n=3)), ReadSettings(critic=lambda seen: seen.utility.n / 10)) == 0.3


@given(memos, st.randoms(use_true_random=False), st.sampled_from(POLICIES))
def test_a_value_is_finite_and_does_not_hang_on_the_order(
    memos: list[Memo], chance: random.Random, policy: ReadName
) -> None:
    """To the last bit."""
    settings = ReadSettings(policy)
    shuffled = chance.sample(memos, len(memos))
    value = READS[policy](Seen(Utility(), 0.3, tuple(memos)), settings)
    assert math.isfinite(value)
    assert READS[policy](Seen(Utility(), 0.3, tuple(shuffled)), settings) == value


@given(memos, st.floats(-1.0, 1.0))
def test_a_shift_of_all_rewards_shifts_the_value(memos: list[Memo], by: float) -> None:
    """Family's included: the weights sum to one."""
    seen = Seen(Utility(), memos=tuple(memos), prior=0.5)
    moved = replace(
        seen, memos=tuple(replace(memo, reward=memo.reward + by) for memo in memos), prior=0.5 + by
    )
    settings = ReadSettings()
    assert READS["episodic"](moved, settings) == pytest.approx(READS["episodic"](seen, settings) + by)


@given(values, st.floats(0.0, 1.0), st.floats(0.0, 50.0))
def test_more_of_a_prior_draws_nearer_to_it(values: list[float], prior: float, n: float) -> None:
    """From the mean of the entries to the prior, never past either."""
    near = [1.0] * len(values)
    some = near_mean(near, values, prior, settings=ReadSettings(prior_n=n))
    more = near_mean(near, values, prior, settings=ReadSettings(prior_n=n + 1.0))
    assert abs(more - prior) <= abs(some - prior) + 1e-12


def test_the_kernel_halves_with_distance_and_never_passes_one() -> None:
    """Rounding may put a cosine over 1."""
    assert kernel(1.0000001, 0.1) == 1.0
    assert kernel(0.9, 0.1) == pytest.approx(math.exp(-1.0))
    assert kernel(-1.0, 1e-4) == 0.0


@given(values, st.floats(0.01, 5.0), st.floats(-3.0, 3.0))
def test_a_soft_value_moves_and_stretches_with_its_values(
    values: list[float], alpha: float, by: float
) -> None:
    """V(Q + c) = V(Q) + c, and V(sQ; sα) = s V(Q; α)."""
    value = soft_value(values, alpha)
    assert soft_value([one + by for one in values], alpha) == pytest.approx(value + by)
    assert soft_value([3.0 * one for one in values], 3.0 * alpha) == pytest.approx(3.0 * value)


@given(values)
def test_a_soft_value_goes_from_the_best_to_the_mean(values: list[float]) -> None:
    """α → 0 is the maximum; α → ∞ the mean and α log n for having a choice."""
    n = len(values)
    assert soft_value(values, 0.0) == max(values)
    assert soft_value(values, 1e-6) == pytest.approx(max(values), abs=1e-4)
    mean = math.fsum(values) / n
    assert soft_value(values, 1e5) - 1e5 * math.log(n) == pytest.approx(mean, abs=1e-4)


def test_draws_come_as_often_as_the_softmax_says() -> None:
    """Within 3σ, for the first of them; and the chance that is written down is that of the softmax."""
    worth, alpha, n = [0.1, 0.5, 0.3, 0.45], 0.2, 20_000
    chance = random.Random(7)
    total = sum(math.exp(one / alpha) for one in worth)
    expected = [math.exp(one / alpha) / total for one in worth]
    firsts: Counter[int] = Counter()
    for _ in range(n):
        first = drawn(worth, alpha, [chance.random() for _ in worth])[0]
        assert first.chance == pytest.approx(expected[first.place])
        firsts[first.place] += 1
    for place, p in enumerate(expected):
        assert abs(firsts[place] - n * p) < 3.0 * math.sqrt(n * p * (1.0 - p))


@given(values, st.floats(0.01, 2.0), st.floats(-3.0, 3.0), st.integers(0, 1000))
def test_a_draw_takes_each_once_and_does_not_mind_a_shift(
    values: list[float], alpha: float, by: float, seed: int
) -> None:
    """The chances are those of taking one after the other from what is left; the last one is sure."""
    luck = [random.Random(f"{seed}/{n}").random() for n in range(len(values))]
    picks = drawn(values, alpha, luck)
    assert sorted(pick.place for pick in picks) == list(range(len(values)))
    assert picks[-1].chance == pytest.approx(1.0)
    assert [pick.key for pick in picks] == sorted((pick.key for pick in picks), reverse=True)
    left = list(range(len(values)))
    for pick in picks:
        share = 1.0 / math.fsum(math.exp((values[one] - values[pick.place]) / alpha) for one in left)
        assert pick.chance == pytest.approx(share)
        left.remove(pick.place)
    moved = drawn([one + by for one in values], alpha, luck)
    assert [pick.chance for pick in moved] == pytest.approx([pick.chance for pick in picks], rel=1e-6)


@given(st.lists(st.integers(-50, 50), min_size=1, max_size=8, unique=True), st.integers(0, 100))
def test_without_warmth_the_best_is_taken(values: list[int], seed: int) -> None:
    """α = 0, and its limit, are greedy."""
    worth = [float(value) for value in values]
    luck = [random.Random(f"{seed}/{n}").random() for n in range(len(values))]
    greedy = sorted(range(len(worth)), key=lambda place: -worth[place])
    assert [pick.place for pick in drawn(worth, 0.0, luck)] == greedy
    assert [pick.place for pick in drawn(worth, 1e-3, luck)] == greedy
    assert {pick.chance for pick in drawn(worth, 0.0, luck)} == {1.0}
