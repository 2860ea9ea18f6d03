"""Errors as context: what is learned of a pool half of whose acts are wrong."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from distill.recipes import recipe_named
from distill.select import Success
from distill.shapes.masks import Whole
from distill.signals.outcomes import Uniform
from distill.types import Recipe
from memory.types import Episode
from tests.distill.learning.halls import MAPLE, erring
from tests.distill.learning.schooling import lived, made, scored, taught, tell

ALL_TOKENS = Recipe("all tokens", Success(), Uniform(), Whole())
N = 200


@dataclass(frozen=True)
class Faultless:
    def __call__(self, episodes: list[Episode]) -> tuple[Episode, ...]:
        return tuple(e for e in episodes if all(one.ok is not False for one in e.messages))


CLEAN_ONLY = Recipe("clean only", Faultless(), Uniform(), Whole())


@pytest.fixture(scope="module")
def pool() -> list[Episode]:
    """Somebody errs in 55 of 100 halls, always by the same door, and puts it right."""
    return lived(MAPLE, [erring(MAPLE, 0.55, n) for n in range(N)])


def test_masked_errors_teach_what_is_right_and_how_to_recover(
    novice: Path, pool: list[Episode], tmp_path: Path
) -> None:
    """Above all tokens at a clean start, above clean episodes alone after a forced error."""
    clean, stumbled = {}, {}
    for recipe in (recipe_named("step"), ALL_TOKENS, CLEAN_ONLY):
        folder = taught([made(recipe, pool)], novice, tmp_path / recipe.name)
        clean[recipe.name] = scored(folder, MAPLE)
        stumbled[recipe.name] = scored(folder, MAPLE, stumbles=True)
    tell(f"clean {clean}, stumbled {stumbled}")
    assert clean["step"].success >= clean["all tokens"].success + 0.3
    assert clean["step"].wrong <= clean["all tokens"].wrong - 0.15
    assert clean["step"].success >= clean["clean only"].success - 0.1
    assert stumbled["step"].success >= stumbled["clean only"].success + 0.5
