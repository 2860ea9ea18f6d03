"""The critic that is memory: what it expects, and whether its credit has an oracle's sign."""

import asyncio
import random
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from distill.signals.advantages import Advantage
from distill.signals.combined import Exp
from distill.signals.outcomes import GroupNorm, Outcome
from distill.signals.stored import Credit
from distill.value import Critic, Prospects, turns_of
from memory.types import Episode, Message, ToolCall
from tests.distill.episodes import make_episode
from tests.distill.household import Pool, household_pool


def walked(id_: str, acts: str, reward: float, seen: str = "a room") -> Episode:
    """One act for each letter, answered by the letter."""
    messages = [Message("user", seen, kind="task")]
    for place, letter in enumerate(acts):
        turn = ToolCall(f"c{place}", "act", {"command": f"do {letter}"})
        messages += [Message("assistant", "", kind="act", tool_calls=(turn,))]
        messages += [Message("tool", f"it is {letter}", kind="observe", ok=True, tool_call_id=turn.id)]
    return replace(make_episode(id_, [], reward=reward), task="fetch", messages=tuple(messages))


class TestCritic:
    """Expectations by other episodes."""

    def test_ones_own_luck_is_no_expectation(self) -> None:
        """A success among failures is expected to fail, the failures to do a little better."""
        lived = [walked(f"e{n}", "a", float(n == 0)) for n in range(6)]
        told = Critic(prior_n=0.01)(lived)
        assert told["e0"][0].value < 0.01
        assert told["e1"][0].value == pytest.approx(0.2, abs=0.01)

    def test_an_act_nobody_else_did_is_worth_where_it_led(self) -> None:
        """The way through b is known to end well."""
        lived = [walked(f"e{n}", "ab", 1.0) for n in range(4)] + [
            walked(f"f{n}", "xy", 0.0) for n in range(4)
        ]
        new = walked("new", "ax", 0.0)
        first, last = Critic(gamma=0.5)([*lived, new])["new"]
        assert first.act > first.value
        assert first.led == pytest.approx(0.5 * last.value)
        assert last.act < last.value

    def test_returns_are_discounted_by_the_turns_left(self) -> None:
        """The last one in full."""
        found = Critic(gamma=0.5)([walked("e1", "abc", 1.0)])["e1"]
        assert [one.come for one in found] == [0.25, 0.5, 1.0]

    def test_turns_are_calls_and_words_in_the_state_they_were_made_in(self) -> None:
        """Reading memory is none; silence is one, for it costs time."""
        episode = walked("e1", "a", 1.0)
        word, nothing = Message("assistant", "Done  now", kind="answer"), Message("assistant", " ")
        fetch = replace(nothing, tool_calls=(ToolCall("m1", "recall", {"title": "mug"}),))
        found = Message("tool", "how to", kind="memory", tool_call_id="m1")
        turns = turns_of(replace(episode, messages=(*episode.messages, fetch, found, word, nothing)))
        acts = [(one.message, one.round, one.action) for one in turns]
        assert acts == [(1, 0, "do a"), (5, 1, "done now"), (6, 2, "")]
        assert "it is a" in turns[1].state

    def test_worlds_do_not_mix(self) -> None:
        """What pays in one says nothing of another."""
        lived = [walked(f"e{n}", "a", 1.0) for n in range(3)]
        other = replace(walked("o", "a", 0.0), world="elsewhere")
        assert Critic()([*lived, other])["o"][0].value == 0.0
        sibling = replace(walked("s", "a", 0.0), family="oak 3")
        assert Critic()([*lived, sibling])["s"][0].value > 0.5
        assert Critic(within="family")([*lived, sibling])["s"][0].value == 0.0

    def test_prospects_are_of_the_nearest_tasks(self) -> None:
        """Without any a half."""
        lived = [replace(make_episode(f"a{n}"), task="put the mug away") for n in range(3)]
        assert Prospects()(lived)["a0"].chance > 0.75
        assert Prospects()(lived[:1])["a0"] == type(Prospects()(lived[:1])["a0"])(0.5, 0.0)


class TestOracle:
    """Credit for steps from outcomes alone, on episodes of the household."""

    def test_step_credit_has_the_oracles_sign_more_often_than_the_outcome_has(self, pool: Pool) -> None:
        """Where right acts fail and wrong ones are made good, the episode's end tells little of a step."""
        by_step = share(pool, Advantage()(pool.episodes))
        by_two_terms = share(pool, Advantage(lam=0.5)(pool.episodes))
        by_outcome = share(pool, Outcome()(pool.episodes))
        assert by_step > by_outcome + 0.08
        assert by_two_terms > by_outcome + 0.02
        assert by_step > 0.82

    def test_it_is_the_outcomes_that_tell(self, pool: Pool) -> None:
        """With outcomes dealt out anew the same critic knows much less."""
        rewards = [one.reward for one in pool.episodes]
        random.Random(0).shuffle(rewards)
        dealt = [replace(one, reward=reward) for one, reward in zip(pool.episodes, rewards, strict=True)]
        assert share(pool, Advantage()(dealt)) < share(pool, Advantage()(pool.episodes)) - 0.1


@pytest.fixture(scope="module")
def pool() -> Pool:
    """Errors at three rates; 16 tasks, six attempts at each."""
    return asyncio.run(household_pool("maple 27", tasks=16, attempts=6, rates=(0.1, 0.3, 0.6)))


def share(pool: Pool, credit: Credit) -> float:
    """Of acts that are credited where the oracle would have done the same, and only there."""
    right = [(credit[id_][place] > 0.0) == mark for (id_, place), mark in pool.right.items()]
    return sum(right) / len(right)


class TestBandit:
    """Advantage weighting and regression have one optimum."""

    def test_weighted_likelihood_and_regression_agree(self) -> None:
        """Both come to mu exp(A / beta) / Z; without the exponent, or with a low cap, they do not."""
        counts, rewards, beta = (6, 3, 1), (0.0, 0.5, 1.0), 0.8
        lived = [
            replace(make_episode(f"{arm}-{n}", task_id="t", reward=rewards[arm]), family=str(arm))
            for arm, count in enumerate(counts)
            for n in range(count)
        ]
        advantage = by_arm(lived, GroupNorm(by="task")(lived), len(counts)) / counts
        behaviour = np.array(counts) / sum(counts)
        wanted = behaviour * np.exp(advantage / beta)
        total = wanted.sum()
        weights = by_arm(lived, Exp(GroupNorm(by="task"), beta=beta)(lived), len(counts))
        assert weights / weights.sum() == pytest.approx(wanted / total)
        capped = by_arm(lived, Exp(GroupNorm(by="task"), beta=beta, cap=1.5)(lived), len(counts))
        assert capped / capped.sum() != pytest.approx(wanted / total, abs=0.05)
        # (beta log(pi / mu) - A)^2 under mu, with A over log Z as for the optimum of the KL-bound return.
        found = regressed(behaviour, advantage - beta * np.log(total), beta)
        assert found == pytest.approx(wanted / total, abs=1e-4)


def by_arm(
    lived: Sequence[Episode], credit: Credit, n: int
) -> "np.ndarray[tuple[int], np.dtype[np.float64]]":
    """The sum of the acts' credit for each arm."""
    sums = np.zeros(n)
    for one in lived:
        sums[int(one.family)] += credit[one.id][1]
    return sums


def regressed(
    behaviour: "np.ndarray[tuple[int], np.dtype[np.float64]]",
    advantage: "np.ndarray[tuple[int], np.dtype[np.float64]]",
    beta: float,
) -> "np.ndarray[tuple[int], np.dtype[np.float64]]":
    """The softmax policy that gradient descent on the squared error comes to."""
    logits = np.log(behaviour)
    for _ in range(5000):
        policy = np.exp(logits - np.log(np.exp(logits).sum()))
        error = behaviour * (beta * np.log(policy / behaviour) - advantage)
        logits -= 0.3 * 2.0 * beta * (error - policy * error.sum())
    return np.exp(logits) / np.exp(logits).sum()
