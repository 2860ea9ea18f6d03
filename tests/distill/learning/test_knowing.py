"""What it can do and what it cannot, asked before it begins."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from statistics import fmean

import pytest

from distill.recipes import recipe_named
from distill.select import Success
from distill.shapes.masks import Among, MaskErrors
from distill.types import Dataset, Stream
from memory.types import Episode
from tests.distill.learning.halls import BIRCH, knowing
from tests.distill.learning.schooling import SHORT, chances, lived, made, scored, taught, tell

pytestmark = pytest.mark.slow
ASKED = {2, 5, 8, 11}
"""Halls from where it is asked afterwards."""


def attempts(halls: set[int]) -> list[Episode]:
    """Short walks, which it can do, and long ones in too little time, which nobody can; from some halls."""
    found = []
    for length, slack in ((2, 4), (3, 4), (7, -1), (8, -1)):
        for n, one in enumerate(lived(BIRCH, [knowing(BIRCH)] * 36, length=length, slack=slack)):
            if n % 12 in halls:
                found.append(replace(one, id=f"{length}-{n}"))
    return found


def _right(folder: Path, asked: Dataset) -> tuple[float, float]:
    """Balanced accuracy and Brier score on the questions of a dataset."""
    right: dict[str, list[float]] = {"yes": [], "no": []}
    errors = []
    for row in asked.rows:
        yes, no = chances(folder, row.messages[:-1], ["yes", "no"])
        p, truth = yes / (yes + no), row.messages[-1].text
        right[truth].append((p > 0.5) == (truth == "yes"))
        errors.append((p - (truth == "yes")) ** 2)
    return fmean(map(fmean, right.values())), fmean(errors)


def test_it_learns_what_it_can_do(novice: Path, tmp_path: Path) -> None:
    """KnowRL, by measured success, of walks from halls that it was not asked about; it still walks."""
    recipe = recipe_named("knowrl")
    mixed = replace(recipe, mixture=(Stream("walks", Among(Success(), MaskErrors()), share=0.5),))
    asked = made(recipe, attempts(ASKED))
    folder = taught(
        [made(mixed, attempts(set(range(12)) - ASKED))], novice, tmp_path, replace(SHORT, min_updates=140)
    )
    before, after = _right(novice, asked), _right(folder, asked)
    walks = scored(novice, BIRCH, length=2).success, scored(folder, BIRCH, length=2).success
    tell(f"knowrl: balanced accuracy, Brier {before} -> {after} of {len(asked.rows)}; walks {walks}")
    assert after[0] >= 0.8 > before[0]
    assert after[1] <= before[1] - 0.1
    assert walks[1] >= walks[0] - 0.1
