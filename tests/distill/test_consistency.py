"""The classifier of the critic `consistency`: 45 labels, leave one out, read without scikit-learn."""

import random
from dataclasses import astuple, fields
from pathlib import Path

import numpy as np
import pytest

from agent.critics.consistency import Consistency, load
from agent.critics.trajectories import Features, features
from distill.consistency import KEPT, Rows, _cli, classifiers, compared, fit, left_out, rows_of
from distill.critic import auc
from memory.core import Memory
from memory.errors import DistillError
from memory.types import Episode, Source
from tests.agent.planted import ENCODER, runs


def rows(n: int, seed: int) -> Rows:
    planted = runs(n, random.Random(seed))
    inputs = [features(one.base, one.alternates, ENCODER).row for one in planted]
    return Rows(np.array(inputs), np.array([one.is_right for one in planted]))


def test_a_regression_on_45_labels_ranks_what_it_has_not_seen() -> None:
    """Leave one out over 45 rows, as many as the paper has."""
    assert left_out(rows(45, 3), classifiers()[KEPT]) > 0.9


@pytest.mark.slow
def test_what_is_kept_is_not_behind_the_other_classifiers() -> None:
    """Over three draws of 45 labels, the mean of each."""
    draws = [compared(rows(45, seed)) for seed in (3, 4, 5)]
    means = {name: np.mean([one[name] for one in draws]) for name in draws[0]}
    assert min(means.values()) > 0.8
    assert means[KEPT] > max(means.values()) - 0.05


def test_labels_that_are_noise_teach_nothing() -> None:
    """Leaving one out does not find what is not there."""
    planted = rows(45, 3)
    chance = np.random.default_rng(0)
    noise = Rows(planted.inputs, chance.permutation(planted.went_well))
    assert left_out(noise, classifiers()[KEPT]) < 0.7


def test_what_is_fitted_here_is_read_as_it_was_fitted_and_beats_chance_on_other_runs() -> None:
    """The same probabilities as scikit-learn's, from a few numbers."""
    seen, unseen = rows(45, 3), rows(150, 8)
    fitted = fit(seen, ENCODER.generation)
    own = np.array([fitted.probability(row) for row in unseen.inputs])
    model = classifiers()[KEPT].fit(seen.inputs, seen.went_well)
    assert own == pytest.approx(model.predict_proba(unseen.inputs)[:, 1])
    assert auc(own, unseen.went_well.astype(np.float64)) > 0.9
    assert ((own > 0.5) == unseen.went_well).mean() > 0.8


def looked_at(n: int, by: Source | None, found: Features | None, reward: float) -> Episode:
    said = {} if found is None else {f.name: getattr(found, f.name) for f in fields(found)}
    named = (f"e{n}", "home", f"t{n}", "refund it", "shop", "shop", f"g{n}")
    return Episode(
        *named,
        (),
        "success" if reward else "failure",
        reward,
        feedback={"verification": {"model": "m", "features": said}} if found else {},
        outcome_by=by,
    )


def episodes(n: int) -> list[Episode]:
    planted = runs(n, random.Random(3))
    found = [features(one.base, one.alternates, ENCODER) for one in planted]
    return [
        looked_at(place, "world", one, float(run.is_right))
        for place, (run, one) in enumerate(zip(planted, found, strict=True))
    ]


def test_episodes_teach_that_were_looked_at_and_of_which_somebody_sure_spoke() -> None:
    """The critic's own word and a verifier's are not learned from."""
    own = episodes(20)
    found = own[0].feedback["verification"]
    assert isinstance(found, dict)
    rest = [looked_at(98, "judge", Features(1.0, 1.0, 1.0, 1.0, 1.0), 1.0), looked_at(99, "world", None, 0.0)]
    learned = rows_of([*own, *rest])
    assert learned.inputs.shape == (20, 5)
    assert astuple(Features(*learned.inputs[0])) == pytest.approx(tuple(found["features"].values()))
    with pytest.raises(DistillError, match="it takes 4 of each"):
        rows_of(rest)


def test_it_is_fitted_on_an_export_and_read_by_the_critic(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """From episodes that were lived to a critic that decides by them."""
    with Memory.open(tmp_path / "m.db", encoder=ENCODER) as memory:
        for one in episodes(12):
            memory.record(one, principal="p")
        memory.export("home", tmp_path / "bundle")
    code = _cli([str(tmp_path / "bundle"), "--out", str(tmp_path / "c"), "--encoder", "hash"])
    assert (code, KEPT in capsys.readouterr().out) == (0, True)
    fitted = load(tmp_path / "c", "hash-1024-1")
    critic = Consistency(ENCODER, fitted)
    for one in runs(10, random.Random(1)):
        assert critic.compared(one.base, (one.base,) * 3).judgement.ok
    assert _cli([str(tmp_path / "none"), "--out", str(tmp_path / "c")]) == 2
