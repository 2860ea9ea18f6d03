"""Credit where nothing is marked, feedback as a prefix, and preference between siblings."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from statistics import fmean

import pytest

from agent.prompt import conditioned
from distill.recipes import recipe_named
from distill.select import Everything, Success
from distill.shapes.conditioning import ConditionOnFeedback
from distill.shapes.masks import Whole
from distill.signals.outcomes import Uniform
from distill.types import Recipe
from memory.types import Episode, Message
from tests.distill.learning.halls import MAPLE, erring, wrong_door
from tests.distill.learning.schooling import SHORT, chances, lived, made, scored, taught, tell

pytestmark = pytest.mark.slow
CLONING = Recipe("cloning", Everything(), Uniform(), Whole())
FILTERED = Recipe("filtered", Success(), Uniform(), Whole())
SHARES = (0.1, 0.5, 0.9)
DRAWS = 4
LONG = replace(SHORT, min_updates=160)


@pytest.fixture(scope="module")
def pool() -> list[Episode]:
    """Three workers, one good, one fair, one bad; nobody says which act was wrong."""
    walks = lived(MAPLE, [erring(MAPLE, SHARES[n % 3], n) for n in range(300)], slack=4)
    return [
        replace(one, messages=tuple(replace(m, ok=None) for m in one.messages), verdicts=()) for one in walks
    ]


def test_credit_by_steps_beats_filtering_beats_cloning(
    novice: Path, pool: list[Episode], tmp_path: Path
) -> None:
    """ReAd's weights, from outcomes alone, at as many updates."""
    wrong, success = {}, {}
    for recipe in (CLONING, FILTERED, recipe_named("read")):
        folder = taught([made(recipe, pool)], novice, tmp_path / recipe.name, LONG)
        wrong[recipe.name] = _wrong(folder)
        success[recipe.name] = scored(folder, MAPLE, draws=DRAWS).success
    tell(f"credit: P(wrong door) {wrong}, success {success}")
    assert wrong["read"] < wrong["filtered"] < wrong["cloning"] - 0.1
    assert success["read"] >= success["filtered"] + 0.05
    assert success["filtered"] >= success["cloning"] + 0.05


def test_what_is_asked_for_is_done(novice: Path, pool: list[Episode], tmp_path: Path) -> None:
    """FAFT: one model, two prefixes."""
    folder = taught([made(recipe_named("faft"), pool)], novice, tmp_path, LONG)
    good, bad = ConditionOnFeedback().best, "wanted: failure, many steps."
    wrong = {prefix: _wrong(folder, prefix) for prefix in (good, bad)}
    success = {prefix: scored(folder, MAPLE, prefix=prefix, draws=DRAWS).success for prefix in (good, bad)}
    tell(f"faft: P(wrong door) {wrong}, success {success}")
    assert wrong[good] <= wrong[bad] - 0.15
    assert success[good] > success[bad]


def test_pairs_take_more_from_what_is_wrong_than_their_better_halves(novice: Path, tmp_path: Path) -> None:
    """MALT: the pool cloned, then a few updates of preference, or of likelihood on the chosen alone."""
    pool = lived(MAPLE, [erring(MAPLE, 0.4, n) for n in range(300)], length=2, slack=1)
    pairs = made(recipe_named("malt"), pool)
    cloned = taught([made(CLONING, pool)], novice, tmp_path / "cloned", LONG)
    wrong = {"cloned": _wrong(cloned)}
    settings = replace(SHORT, learning_rate=5e-4, min_updates=60)
    for name, stage in (("pairs", pairs), ("positives", replace(pairs, objective="nll"))):
        wrong[name] = _wrong(taught([stage], cloned, tmp_path / name, settings))
    tell(f"malt: P(wrong door) {wrong}, {len(pairs.rows)} pairs")
    assert wrong["pairs"] < 0.6 * wrong["positives"]
    assert wrong["positives"] < wrong["cloned"] - 0.2


def _wrong(folder: Path, prefix: str = "") -> float:
    """Probability of the habitual error, the mean over the halls where a walk begins."""
    found = []
    for task in MAPLE.tasks(4):
        seen = f"in hall {task.text.split()[-2]}"
        opening = conditioned([Message("user", f"{seen} task: {task.text}", kind="task")], prefix)
        found += chances(folder, opening, [wrong_door(MAPLE, seen)], before=">")
    return fmean(found)
