"""The model that every learning test starts from."""

from dataclasses import replace
from pathlib import Path

import pytest

from distill.recipes import recipe_named
from tests.distill.learning.halls import BIRCH, VOCABULARY, knowing
from tests.distill.learning.schooling import SHORT, lived, made, taught
from tests.distill.tiny import make_folder


@pytest.fixture(scope="session")
def novice(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Knows its way in one house, where nothing ever went wrong: it has never seen a cellar."""
    folder = tmp_path_factory.mktemp("novice")
    blank = make_folder(folder / "blank", hidden=64, words=VOCABULARY, spread=0.1)
    walks = [one for length in (2, 3, 4) for one in lived(BIRCH, [knowing(BIRCH)] * 12, length=length)]
    walks = [replace(one, id=f"{n}") for n, one in enumerate(walks)]
    return taught([made(recipe_named("step"), walks)], blank, folder, SHORT)
