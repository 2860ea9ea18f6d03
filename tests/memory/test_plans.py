"""Costs of a search by the plans that worked, on examples small enough to count by hand."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memory.value.plans import blended, common_length, cost_to_go, likeness, path_cost, position
from memory.value.reads import ReadSettings

PLANS = (("find", "read", "send"), ("find", "open", "read", "close", "send"))
calls = st.lists(st.sampled_from("abcd"), max_size=6)


def test_three_nodes_by_hand() -> None:
    """Find is in both plans, open after it in one, send without read is two thirds of the first."""
    assert likeness(("find",), PLANS) == 1.0
    assert likeness(("find", "open"), PLANS) == 1.0
    assert likeness(("find", "wait"), PLANS) == 0.5
    assert likeness(("find", "wait", "send"), PLANS) == pytest.approx(2 / 3)
    cost = path_cost(("find", "wait", "send"), (1.0, 0.5, 0.75), PLANS)
    assert cost == pytest.approx(0.0 + (0.5 * 0.5) ** 0.5 + (1 / 3 * 0.25) ** 0.5)


def test_a_step_stands_where_it_stood_in_the_plans() -> None:
    """The mean over them; one that is new stands where the likest does."""
    assert position("send", PLANS) == 1.0
    assert position("read", PLANS) == pytest.approx((2 / 3 + 3 / 5) / 2)
    assert position("find", PLANS) == pytest.approx((1 / 3 + 1 / 5) / 2)
    assert position("open box", (("open door", "take cup"),)) == 0.5


def test_without_plans_nothing_is_known() -> None:
    """The second opinion decides alone then."""
    assert (likeness(("find",), ()), position("find", ())) == (0.0, 0.0)
    assert path_cost(("find", "read"), (0.75, 0.75), ()) == pytest.approx(1.0)


def test_steps_left_are_those_of_the_nearest() -> None:
    """A kernel mean, drawn to what is usual."""
    settings = ReadSettings(prior_n=1.0)
    assert cost_to_go([1.0, -1.0], [3, 9], 5.0, settings) == pytest.approx(4.0, abs=1e-6)
    assert cost_to_go([], [], 5.0) == 5.0


@given(calls, calls)
def test_what_is_common_is_common_to_both(one: list[str], other: list[str]) -> None:
    """Symmetric, at most the shorter, and all of what is the same."""
    n = common_length(one, other)
    assert n == common_length(other, one) <= min(len(one), len(other))
    assert common_length(one, one) == len(one)
    assert common_length(one, [*other, *one]) == len(one)


@given(st.lists(st.sampled_from("abcd"), min_size=1, max_size=6), st.lists(calls, max_size=3))
def test_costs_are_never_negative(path: list[str], plans: list[list[str]]) -> None:
    """Nor more than a step each; f = g + h of a search is safe."""
    cost = path_cost(path, [0.5] * len(path), plans)
    assert 0.0 <= cost <= len(path)
    assert 0.0 <= blended(position(path[-1], plans), 0.5, 0.5) <= 1.0
