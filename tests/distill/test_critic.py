"""A critic that is fitted offline, and read with numpy alone."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from distill.critic import FitSettings, Rows, compared, fit, rows_of
from memory.encoder import HashEncoder
from memory.errors import BadInput, DistillError
from memory.types import Episode, Query, Recalled, RecallRecord, Utility
from memory.value.neural import CARD, features, load, save
from memory.value.reads import Memo, Seen

ENCODER = HashEncoder(64)
TEXTS = {
    "rinse": "rinse a mug with water",
    "warm": "warm a soup on the stove",
    "stroll": "take a stroll",
    "sweep": "sweep the floor",
}
SETTINGS = FitSettings(rounds=150)


def episode(n: int, question: str, item: str, reward: float) -> Episode:
    record = RecallRecord(Query("home", question), 1, "hash-64-1", (Recalled(item, 1, 0.0, 1.0, True),))
    said = (f"e{n}", "home", f"t{n}", question, "household", "maple 7", "g")
    return Episode(*said, (), "success" if reward else "failure", reward, recall=record)


def lived(reward_of: Callable[[str, str], float], n: int = 240) -> Rows:
    chance = random.Random(2)
    episodes = []
    for place in range(n):
        thing = chance.choice(("mug", "soup"))
        question = f"what to do with the {thing} number {chance.randrange(60)}"
        item = chance.choice(list(TEXTS))
        episodes.append(episode(place, question, item, reward_of(question, item)))
    return rows_of(episodes, TEXTS, ENCODER)


def test_a_critic_learns_which_item_suits_which_question() -> None:
    """Rinsing helps mugs and warming soups: no mean of an item can tell that."""

    def suits(question: str, item: str) -> float:
        return float((item == "rinse") == ("mug" in question))

    report = compared(lived(suits), ENCODER.generation, SETTINGS)
    assert report.critic > 0.9
    assert report.per_case < 0.7


def test_knowing_how_a_question_went_does_not_win() -> None:
    """Where the question alone decides, and by chance, folds by question leave nothing to be learned."""

    def luck(question: str, item: str) -> float:
        return float(random.Random(question).random() < 0.5)

    rows = lived(luck)
    report = compared(rows, ENCODER.generation, SETTINGS)
    assert 0.3 < report.critic < 0.65
    inside = fit(rows.inputs, rows.rewards, ENCODER.generation, SETTINGS).scores(rows.inputs)
    assert np.corrcoef(inside, rows.rewards)[0, 1] > 0.5


def test_a_critic_is_read_as_it_was_fitted(tmp_path: Path) -> None:
    """The same numbers, for the policy as well; without a vector the family speaks."""
    rows = lived(lambda question, item: float(item == "warm"))
    critic = fit(rows.inputs, rows.rewards, ENCODER.generation, SETTINGS)
    save(critic, tmp_path)
    again = load(tmp_path, ENCODER.generation)
    assert (again.scores(rows.inputs) == critic.scores(rows.inputs)).all()
    question, item = ENCODER.encode(["what to do with the mug", TEXTS["warm"]])
    seen = Seen(Utility(), memos=(Memo(1.0, 1.0),) * 3, prior=0.25, question=question, vector=item)
    assert again(seen) == pytest.approx(critic.scores(features(question, item, 3)[None])[0])
    assert again(seen) > 0.5
    assert again(replace(seen, vector=None)) == 0.25


def test_a_critic_of_another_encoder_is_refused(tmp_path: Path) -> None:
    """So is a folder without one, and features of another length."""
    rows = lived(lambda question, item: float(item == "warm"), n=40)
    critic = fit(rows.inputs, rows.rewards, ENCODER.generation, FitSettings(rounds=2))
    save(critic, tmp_path)
    with pytest.raises(BadInput, match="hash-64-1"):
        load(tmp_path, "minilm-384-1")
    with pytest.raises(BadInput, match="fit it again"):
        critic.scores(rows.inputs[:, :-1])
    (tmp_path / CARD).unlink()
    with pytest.raises(BadInput, match="holds no critic"):
        load(tmp_path, ENCODER.generation)


def test_nothing_to_learn_from_is_said() -> None:
    """An episode without an outcome teaches nothing."""
    with pytest.raises(DistillError, match="nothing to learn"):
        rows_of([replace(episode(1, "mug", "rinse", 1.0), outcome="unknown")], TEXTS, ENCODER)
