"""What is kept of what was known before, by the share of general rows."""

from dataclasses import replace
from pathlib import Path

from distill.recipes import recipe_named
from distill.select import Success
from distill.shapes.masks import Whole, trajectory
from distill.signals.outcomes import Uniform
from distill.types import Recipe, Row, Stream
from tests.distill.learning.halls import BIRCH, MAPLE, knowing
from tests.distill.learning.schooling import SHORT, lived, made, scored, taught, tell


def general() -> tuple[Row, ...]:
    """What the base can do: walks through its own house, of no episode."""
    walks = lived(BIRCH, [knowing(BIRCH)] * 12)
    credit = Uniform()(walks)
    return tuple(replace(trajectory(one, credit[one.id]), episode="") for one in walks)


def mixed(share: float) -> Recipe:
    """`agenttuning` with so large a share of its own rows."""
    streams = (Stream("general", Whole(), share=1 - share, of="general"),) if share < 1 else ()
    return Recipe(f"memory {share}", Success(), Uniform(), Whole(), mixture=streams)


def test_the_more_general_rows_the_more_is_kept(novice: Path, tmp_path: Path) -> None:
    """With memory alone the first house is forgotten; with `agenttuning`'s fifth both are known."""
    assert recipe_named("agenttuning").mixture[0].share == 0.8
    walks, rows = lived(MAPLE, [knowing(MAPLE)] * 12), general()
    kept, learned = {}, {}
    for share in (1.0, 0.5, 0.2):
        folder = taught([made(mixed(share), walks, rows)], novice, tmp_path / f"{share}", SHORT)
        kept[share], learned[share] = scored(folder, BIRCH), scored(folder, MAPLE)
    tell(f"before {scored(novice, BIRCH)}, kept {kept}, learned {learned}")
    assert kept[1.0].success <= 0.6
    assert kept[0.2].success >= 0.9
    assert kept[1.0].success <= kept[0.5].success <= kept[0.2].success + 0.1
    assert learned[0.2].success >= 0.9
