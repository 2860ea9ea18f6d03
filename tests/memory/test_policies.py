"""Read policies through the door: by setting or by question, and again under late words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any, get_args

import pytest

from memory.codec import dumps, loads
from memory.core import Memory
from memory.errors import BadInput
from memory.recall.choosing import RecallSettings
from memory.recall.valuing import priors
from memory.types import Lift, ReadName, Recall, RecallRecord, Utility
from memory.value.means import prior_mean
from memory.value.reads import ReadSettings

Saying = Any
MUGS = ("the mug is in cabinet 1", "a mug may be in cabinet 2", "mug and plate share cabinet 3")
AS_PUBLISHED = RecallSettings(utility_weight=1.0, recency_weight=0.0)


def order(recall: Recall) -> list[str]:
    return [hit.item.text for hit in recall.hits]


def live(say: Saying, name: str, question: str, item: str, reward: float) -> None:
    """An episode that asked and had one item in view."""
    recall = say.recall(question, k=1)
    hit = next(hit for hit in say.recall(question, k=4).candidates if hit.item.text == item)
    seen = replace(recall, candidates=(replace(hit, fate="kept"),))
    episode = say.episode(name, seen, reward=reward)
    say.memory.record(episode, principal="ada")
    say.memory.reinforce(episode, principal="ada")


def test_what_came_of_an_item_near_the_question_counts(
    open_memory: Any, say_to: Callable[..., Saying]
) -> None:
    """Item 2 was best on the whole, item 3 when such a question was asked; a question may name its policy."""
    say = say_to(open_memory(settings=AS_PUBLISHED))
    say.remember(*map(say.case, MUGS))
    for n in range(4):
        live(say, f"far-{n}", "mug or plate for tea at noon with the red spoon", MUGS[1], 1.0)
        live(say, f"odd-{n}", "mug or plate for tea at noon with the red spoon", MUGS[2], 0.0)
        live(say, f"near-{n}", "where is the mug", MUGS[2], 1.0)
        live(say, f"bad-{n}", "where is the mug", MUGS[0], 0.0)
    asked: dict[ReadName, list[str]] = {
        policy: order(say.recall("where is the mug", policy=policy))
        for policy in ("per_case", "episodic", "cosine")
    }
    assert asked["per_case"][0] == MUGS[1]
    assert asked["episodic"][0] == MUGS[2]
    by_cosine = sorted(
        say.recall("where is the mug").candidates, key=lambda hit: (-(hit.score.dense or -1.0), hit.item.id)
    )
    assert asked["cosine"] == [hit.item.text for hit in by_cosine]
    assert order(say.recall("where is the mug")) == asked["per_case"]


@pytest.mark.parametrize("policy", ["cosine", "per_case", "episodic", "lift"])
def test_a_replay_does_not_hear_later_words(
    open_memory: Any, say_to: Callable[..., Saying], count_tokens: Callable[[str], int], policy: ReadName
) -> None:
    """Bit for bit, after other episodes and after feedback on those that were read."""
    settings = replace(AS_PUBLISHED, utility_weight=0.5, read=ReadSettings(policy))
    memory: Memory = open_memory(settings=settings)
    say = say_to(memory)
    say.remember(*map(say.case, MUGS))
    for n in range(3):
        live(say, f"e{n}", "where is the mug", MUGS[n], n / 2)
    recall = say.recall("where is the mug", drop_rate=0.3, seed=4)
    record = loads(RecallRecord, dumps(recall.record()))
    assert record.policy == policy
    assert bool(record.valued) == (policy in {"episodic", "lift"})
    for n in range(3):
        memory.feedback("home", f"e{n}", principal="ada", reward=1.0 - n / 2)
    live(say, "later", "where is the mug", MUGS[0], 1.0)
    assert memory.replay(record, count_tokens=count_tokens) == recall
    if policy in {"per_case", "episodic"}:
        assert say.recall("where is the mug") != replace(recall, log_seq=0)
        now = [hit.score.utility for hit in say.recall("where is the mug").candidates]
        assert now != [hit.score.utility for hit in recall.candidates]


def test_a_warm_read_draws_and_says_with_what_chance(
    open_memory: Any, say_to: Callable[..., Saying], count_tokens: Callable[[str], int]
) -> None:
    """Another seed may draw another; the same one the same; the coin's propensity is no part of it."""
    settings = replace(AS_PUBLISHED, utility_weight=0.0, read=ReadSettings(alpha=1.0))
    memory: Memory = open_memory(settings=settings)
    say = say_to(memory)
    say.remember(*map(say.case, MUGS))
    recalls = [say.recall("where is the mug", k=1, seed=seed) for seed in range(200)]
    first = Counter(recall.hits[0].item.text for recall in recalls)
    assert len(first) == 3
    for recall in recalls[:5]:
        (kept,) = recall.record().items
        assert 0.0 < kept.chance < 1.0
        assert kept.propensity == 1.0
        assert memory.replay(recall.record(), count_tokens=count_tokens) == recall
    chances = {recall.hits[0].item.text: recall.hits[0].chance for recall in recalls}
    for text, chance in chances.items():
        spread = (200 * chance * (1.0 - chance)) ** 0.5
        assert abs(first[text] - 200 * chance) < 4.0 * spread


def test_lifts_rank_what_coins_have_told(open_memory: Any, say_to: Callable[..., Saying]) -> None:
    """Shown for certain says nothing; won when shown and lost when held out says a lot."""
    memory: Memory = open_memory(settings=AS_PUBLISHED)
    say = say_to(memory)
    say.remember(*map(say.case, MUGS))
    for n in range(8):
        question = say.recall("where is the mug")
        hits = {hit.item.text: hit for hit in question.candidates}
        shown = n % 2 == 0
        tossed = replace(hits[MUGS[2]], fate="kept" if shown else "held_out", propensity=0.5)
        sure = replace(hits[MUGS[0]], fate="kept")
        recall = replace(question, candidates=(tossed, sure))
        episode = say.episode(f"e{n}", recall, reward=1.0 if shown else 0.0)
        memory.record(episode, principal="ada")
        memory.reinforce(episode, principal="ada")
    by_lift = say.recall("where is the mug", policy="lift")
    assert order(by_lift)[0] == MUGS[2]
    values = {hit.item.text: hit.score.utility for hit in by_lift.candidates}
    assert values[MUGS[2]] > values[MUGS[0]] == values[MUGS[1]]


def test_a_policy_without_its_critic_is_refused(say: Saying) -> None:
    """Only once there is something to weigh."""
    say.remember(say.case(MUGS[0]))
    with pytest.raises(BadInput, match="no critic"):
        say.recall("where is the mug", policy="neural")
    assert "neural" in get_args(ReadName)


def test_an_unused_item_is_worth_what_its_family_is(say: Saying) -> None:
    """Not what others of the question are; a family alone is drawn to one half, as the pool always was."""
    (fresh, used) = say.remember(say.case(MUGS[0]), say.case(MUGS[1]))
    good = replace(used, utility=Utility(n=20, reward_sum=18.0, q=0.9))
    bad = replace(good, family="maple 7", utility=Utility(n=20, reward_sum=2.0, q=0.1))
    alone = priors([fresh, good])
    assert alone[("case", None)] == pytest.approx(prior_mean([good.utility]))
    both = priors([fresh, good, bad])
    assert both[("case", None)] == pytest.approx((2.0 * (1.0 + 2.0) / 22.0 + 18.0) / 22.0)
    assert both[("case", "maple 7")] < 0.2 < 0.8 < both[("case", None)]
    unknown = replace(bad, family="oak 9", utility=Utility(lift=Lift()))
    assert priors([good, bad, unknown])[("case", "oak 9")] == pytest.approx((1.0 + 20.0) / 42.0)
