"""What policies and recall as a whole are worth by coins: drawn as said, right in the mean, sure always."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from random import Random

import numpy as np
import pytest

from agent.opening import AgentSettings, Run, situation
from agent.types import Task
from memory.core import Memory
from memory.encoder import HashEncoder
from memory.errors import BadInput
from memory.recall.arms import NOTHING, chances_of, choices
from memory.recall.choosing import is_withheld
from memory.types import CaseBody, Draft, Episode, Query
from memory.value.evidence import intervals
from memory.value.lift import Choice, policy_interval, policy_value, values_of

CHANCES = {"per_case": 0.5, "episodic": 0.3, NOTHING: 0.2}
WORTH = {"per_case": 0.6, "episodic": 0.8, NOTHING: 0.3}
TASK = Task("t", "wash a mug", "household", "maple 7")


def lived(random: Random, n: int) -> list[Choice]:
    names = random.choices(list(CHANCES), list(CHANCES.values()), k=n)
    return [Choice(name, CHANCES, float(random.random() < WORTH[name]), 0.5) for name in names]


def test_each_is_drawn_for_its_share_of_episodes() -> None:
    """Tasks of the default seed are no exception; a policy's coin and the recall's have nothing in common."""
    mixture = (("per_case", 0.5), ("episodic", 0.3), ("lift", 0.2))
    settings = AgentSettings(mixture=mixture, hold_out=0.25)  # type: ignore[arg-type]
    queries = [situation(TASK, Run("home", "ada", f"ep_{n}"), settings) for n in range(4000)]
    for policy, chance in mixture:
        for held, rate in ((True, 0.25), (False, 0.75)):
            p = chance * rate
            share = sum((one.policy, is_withheld(one)) == (policy, held) for one in queries) / len(queries)
            assert abs(share - p) < 4 * (p * (1 - p) / len(queries)) ** 0.5, (policy, held)


def test_both_coins_make_the_propensity(tmp_path: Path) -> None:
    """An item is shown as often as it says, and in one draw with nothing held out together."""
    with Memory.open(tmp_path / "memory.db", encoder=HashEncoder(64)) as memory:
        drafts = [
            Draft("case", f"wash the mug {how}", CaseBody("wash", (), how), outcome="success")
            for how in ("in the sink", "with a sponge")
        ]
        memory.remember("home", drafts, principal="ann", channel="user")
        query = Query("home", "wash the mug", drop_rate=0.2, hold_out=0.3)
        shown: Counter[int] = Counter()
        for seed in range(600):
            recall = memory.recall(replace(query, seed=seed), count_tokens=len)
            record = recall.record()
            assert [one.propensity for one in record.items] == pytest.approx([0.56, 0.56])
            shown[len(recall.hits)] += 1
            if is_withheld(record.query):
                assert recall.hits == ()
            assert memory.replay(record, count_tokens=len) == recall
        for n, p in ((0, 0.3 + 0.7 * 0.04), (1, 0.7 * 0.32), (2, 0.7 * 0.64)):
            assert abs(shown[n] / 600 - p) < 4 * (p * (1 - p) / 600) ** 0.5
        with pytest.raises(BadInput, match="hold_out is 1"):
            memory.recall(replace(query, hold_out=1.0), count_tokens=len)


def test_values_are_right_in_the_mean() -> None:
    """Over many streams, whatever was drawn how often."""
    random = Random(3)
    for name, worth in WORTH.items():
        means = [policy_value(lived(random, 100), name)[0] for _ in range(200)]
        assert np.mean(means) == pytest.approx(worth, abs=4 * float(np.std(means)) / 200**0.5)


@pytest.mark.parametrize("name", WORTH)
def test_a_value_lies_in_its_interval_at_every_look(name: str) -> None:
    """In 95 of 100 streams at least, over all looks at one."""
    random, held = Random(7), 0
    for _ in range(200):
        low, high = intervals(values_of(lived(random, 150), name))
        held += bool(((low <= WORTH[name]) & (WORTH[name] <= high)).all())
    assert held >= 190


def test_what_recall_is_worth_is_found() -> None:
    """Nothing is credibly less than what is read, and the better policy more."""
    told = lived(Random(5), 500)
    low, high = policy_interval(told, NOTHING, "per_case")
    assert high < 0.0
    assert low <= WORTH[NOTHING] - WORTH["per_case"] <= high
    _, low, high = policy_value(told, "episodic")
    assert low <= WORTH["episodic"] <= high
    assert high - low < 0.4
    assert policy_value([], "episodic") == (0.5, 0.0, 1.0)


def test_memory_reports_what_coins_told(tmp_path: Path) -> None:
    """Of episodes that count; those without a coin say nothing."""
    random = Random(11)
    with Memory.open(tmp_path / "memory.db", encoder=HashEncoder(64)) as memory:
        draft = Draft("case", "wash a mug", CaseBody("wash a mug", (), "x"), outcome="success")
        memory.remember("home", [draft], principal="ann", channel="user")
        settings = AgentSettings(mixture=(("per_case", 0.5), ("cosine", 0.5)), hold_out=0.2)
        for n in range(120):
            recall = memory.recall(situation(TASK, Run("home", "ada", f"e{n}"), settings), count_tokens=len)
            wins = 0.2 if is_withheld(recall.query) else 0.9
            outcome = "success" if random.random() < wins else "failure"
            episode = Episode(
                *(f"e{n}", "home", "t", "wash a mug", "household", "maple 7", "t", ()),
                outcome=outcome,  # type: ignore[arg-type]
                recall=recall.record(),
            )
            memory.record(episode, principal="ann")
        plain = replace(
            episode, id="plain", recall=memory.recall(Query("home", "mug"), count_tokens=len).record()
        )
        memory.record(plain, principal="ann")
        memory.record(replace(episode, id="frozen", mode="frozen"), principal="ann")
        told = {one.policy: one for one in memory.policies("home")}
        assert memory.policies("work") == ()
    assert set(told) == {"per_case", "cosine", NOTHING}
    assert sum(one.n for one in told.values()) == 120
    best = max(told.values(), key=lambda one: one.n)
    assert (best.lift.n, best.lift_low, best.lift_high) == (0, 0.0, 0.0)
    nothing = told[NOTHING]
    assert nothing.high < 0.9 < told[best.policy].high
    assert nothing.lift_high < 0.0
    assert chances_of(plain.recall) == {"per_case": 1.0}  # type: ignore[arg-type]
    assert choices([plain]) == []
